"""A run's folder, whose files are complete or absent at any time."""

import io
import json
import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.arrays import Floats
from negsift.common.errors import BadData, BadInput
from negsift.common.json_text import parse_json
from negsift.common.overrides import flat
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of
from negsift.common.types import Selection
from negsift.common.unfinished import creating, replacing
from negsift.trainer.config import METRICS
from negsift.trainer.selection_file import selection_table

Json = dict[str, Any]  # Any: JSON
_ODD = re.compile("[\0\udc80-\udcff]")
"""Letters that no name has, and bytes that are not UTF-8, as Python reads them."""
Opened = Callable[[Path], AbstractContextManager[BinaryIO]]
"""How a file is opened to be written: in the place of another, or as a new one."""
CHECKPOINT = "checkpoint/last.pt"
SELECTION, INPUTS = "selections/epoch={:04d}.parquet", "weights/epoch={:04d}.pt"
"""Formats of an epoch."""
_LONGEST_PATH = 4000
"""Bytes; Linux takes 4,096, which leaves room for the files of a run."""
_OWN = {"selections", "checkpoint", "weights", "tensorboard", "wandb", "lost+found"}


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: its configuration, metrics, selections, checkpoint and summary.

    Writing raises BadInput if the folder is not writable, reading raises BadData if a file is damaged.
    """

    path: Path

    @property
    def config(self) -> Json | None:
        """The configuration of the folder's run; None without a run."""
        return self.read_json("config.json")

    @property
    def summary(self) -> Json | None:
        """The summary of a finished run; None before that."""
        summary = self.read_json("summary.json")
        if summary is not None and not _has_results(summary):
            raise self.damaged("summary.json", "without its results")
        return summary

    def check(self, config: Json, free: Collection[str] = (), default: Json | None = None) -> bool:
        """Whether the folder already has this run. Raises BadInput for a run of another configuration.

        The dotted keys in `free` may differ, because they do not change the result. Keys that the folder's run doesn't
        know, since it is of an earlier version, may have the value that they have in `default`.
        """
        if self.config is None:
            self.require_writable()
            self._require_no_folders()
            return False
        differing = self.differing(config, default) - set(free)
        if differing:
            raise BadInput(
                f"another run in {self.path} (it differs in {some_of(sorted(differing))})",
                "an empty folder or the same run", "choose another --out, or remove the run",
            )  # fmt: skip
        return True

    def differing(self, config: Json, default: Json | None = None) -> set[str]:
        """The dotted keys in which the folder's run differs, but for those that `check` says of `default`."""
        earlier, now = flat(self.config or {}), flat(_as_read(config))
        known = flat(_as_read(default or {})) | earlier
        return {key for key in earlier.keys() | now.keys() if known.get(key) != now.get(key)}

    def claim(self, config: Json, free: Collection[str] = (), default: Json | None = None) -> None:
        """Write the configuration, if `check` finds no run. Raises BadInput as `check` does.

        Of programs that do so at the same moment the first has the folder, and the others are checked against it.
        """
        if not self.check(config, free, default):
            self._write("config.json", lambda stream: stream.write(_json_bytes(config)), creating)
            self.check(config, free, default)

    def read_json(self, name: str) -> Json | None:
        """The object in a JSON file; None without the file."""
        if not os.path.lexists(self.path / name):
            return None
        path = regular(self.path / name)
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.damaged(name, getattr(error, "strerror", None) or error) from None
        if not isinstance(values, dict):
            raise self.damaged(name, f"a {type(values).__name__}")
        return values

    def write_json(self, name: str, content: Json) -> None:
        """Write a JSON file; NaN becomes null."""
        text = _json_bytes(content)
        self._write(name, lambda stream: stream.write(text))

    def write_metrics(self, lines: Sequence[Json]) -> None:
        """Write the records of all epochs so far, one per line."""
        text = "".join(json.dumps(without_nan(line)) + "\n" for line in lines)
        self._write("metrics.jsonl", lambda stream: stream.write(text.encode()))

    def write_selection(
        self, epoch: int, selection: Selection, bag_ids: Sequence[str], margin: Floats, made: Json
    ) -> None:
        """Write the negatives of one epoch, best first, with their `margin` in training and what `made` them."""
        self.write_table(SELECTION.format(epoch), selection_table(selection, bag_ids, margin, made))

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file."""
        self._write(name, lambda stream: pq.write_table(table, stream))

    def write_inputs(self, epoch: int, state: Callable[[], Json]) -> None:
        """Write the weights and the sampler's state that the selection for an epoch was made from."""
        self._write(INPUTS.format(epoch), lambda stream: stream.write(_saved_bytes(state())))

    @property
    def inputs_of(self) -> list[int]:
        """The epochs whose weights and sampler's state are kept, ascending."""
        return self._epochs(INPUTS)

    @property
    def selections_of(self) -> list[int]:
        """The epochs that have a selection, ascending."""
        return self._epochs(SELECTION)

    def keep_inputs_of(self, epochs: Collection[int]) -> None:
        """Remove the weights kept for other epochs."""
        for epoch in set(self.inputs_of) - set(epochs):
            (self.path / INPUTS.format(epoch)).unlink(missing_ok=True)

    def save(self, state: Mapping[str, Any]) -> None:  # Any: tensors, numbers, lists and dicts of them
        """Write the checkpoint."""
        content = _saved_bytes(state)
        self._write(CHECKPOINT, lambda stream: stream.write(content))

    def load(self) -> Json | None:
        """The checkpoint; None without one."""
        return self.load_state(CHECKPOINT) if os.path.lexists(self.path / CHECKPOINT) else None

    def load_state(self, name: str) -> Json:
        """What a file of saved tensors holds by name."""
        from negsift.common.torch_file import load_tensors  # imported here: torch is slow to import

        state = load_tensors(self.path / name)
        if not isinstance(state, dict):
            raise self.damaged(name, f"a {type(state).__name__}")
        return state

    def damaged(self, name: str, reason: object) -> BadData:
        """The error of a file whose content is not what a run writes there."""
        return BadData(f"{self.path / name} unreadable ({reason})", f"{name} as a run writes it", f"remove {self.path}")

    def saved(self, epochs: int) -> str:
        """What a run has that saved `epochs` epochs, as a sentence."""
        if not epochs:
            return "no epoch is saved yet; the same command starts again"
        done = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
        return f"{done} saved in {self.path}; the same command resumes the run"

    def require_writable(self) -> None:
        """Raise BadInput if the folder can't be made or written, before any work is done."""
        path = self.path.absolute()
        nearest = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        if not os.path.isdir(nearest) or not os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
            fault = "not writable" if os.path.isdir(nearest) else "not a folder"
            raise BadInput(f"{nearest}, which is {fault}", "a writable folder", "choose another --out")
        longest = max(len(os.fsencode(part)) for part in path.parts)
        if (
            _ODD.search(str(path))
            or longest > os.pathconf(nearest, "PC_NAME_MAX")
            or len(os.fsencode(path)) > _LONGEST_PATH
        ):
            raise BadInput(f"--out {self.path}", "a name that a folder can have", "shorten or correct it")

    def _require_no_folders(self) -> None:
        """Raise BadInput for a bag table, and for a folder with other folders: a home folder, say, or other runs."""
        if next(self.path.glob("manifest-*.json"), None):
            raise BadInput(f"a bag table in {self.path}", "an empty folder or a new one", "choose another --out")
        inside = sorted(p.name for p in self.path.glob("*/") if p.is_dir() and p.name[0] != "." and p.name not in _OWN)
        if inside:
            raise BadInput(
                f"the folders {some_of(inside, 3)} in {self.path.resolve()}",
                "an empty folder or a new one", "choose another --out",
            )  # fmt: skip

    def _epochs(self, name: str) -> list[int]:
        """The epochs of the files of that format."""
        numbers = (re.search(r"\d+", path.name) for path in (self.path / name).parent.glob("epoch=*"))
        return sorted(int(found[0]) for found in numbers if found and (self.path / name.format(int(found[0]))).exists())

    def _write(self, name: str, write: Callable[[BinaryIO], object], opened: Opened = replacing) -> None:
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened(path) as stream:
                write(stream)
        except OSError as error:
            found = f"{path} not writable ({os.strerror(error.errno) if error.errno else error})"
            remedy = "free some space or choose another --out"
            raise BadInput(found, "a writable folder with free space", remedy) from error


def _json_bytes(content: Json) -> bytes:
    return (json.dumps(without_nan(content), indent=2) + "\n").encode()


def _as_read(content: Json) -> Json:
    """What is read again of that content: lists for tuples, say."""
    return dict(json.loads(_json_bytes(content)))


def _saved_bytes(state: Mapping[str, Any]) -> memoryview:  # Any: as in `save`
    import torch  # imported here: who looks at a folder may do without

    content = io.BytesIO()  # on a full disk torch.save to a file reports "unexpected pos" instead of the reason
    torch.save(dict(state), content)
    return content.getbuffer()


def _has_results(summary: Json) -> bool:
    """Whether a summary has what is shown of a finished run: strategy, best epoch, metrics of both tests."""
    measured = [summary.get(part) for part in ("test", "last")]
    numbers = [part.get(metric, "") if isinstance(part, dict) else "" for part in measured for metric in METRICS]
    return {"strategy", "best_epoch"} <= summary.keys() and all(isinstance(n, float | int | None) for n in numbers)


def without_nan(value: Any) -> Any:  # Any: JSON
    """The value with null for each NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
