"""A run's folder. Every file is written under a temporary name and renamed: it is whole, or not there."""

import io
import json
import math
import os
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from negsift.common.errors import BadData, BadInput
from negsift.common.types import Selection

Json = dict[str, Any]  # Any: JSON
_OWN = {"selections", "checkpoint", "lost+found"}


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps its configuration, metrics, selections, checkpoint and summary."""

    path: Path

    @property
    def config(self) -> Json | None:
        """What the run here was begun with; None if there is none."""
        return self._read_json("config.json")

    @property
    def summary(self) -> Json | None:
        """What a finished run wrote at its end; None while unfinished."""
        return self._read_json("summary.json")

    def check(self, config: Json, free: Collection[str] = ()) -> bool:
        """Whether the folder is this run's already; raises BadInput if it holds one of another configuration.

        The dotted keys in `free` may differ: they don't change the result.
        """
        held = self.config
        if held is None:
            self._require_place()
            self._require_no_folders()
            return False
        differing = _differences(_flat(held), _flat(json.loads(json.dumps(config)))) - set(free)
        if differing:
            raise BadInput(
                f"another run in {self.path} (it differs in {', '.join(sorted(differing))})",
                "an empty folder, or the same run", "choose another --out, or remove it",
            )  # fmt: skip
        return True

    def claim(self, config: Json, free: Collection[str] = ()) -> None:
        """Make the folder this run's, as `check` allows."""
        if not self.check(config, free):
            self.write_json("config.json", config)

    def write_json(self, name: str, content: Json) -> None:
        """One JSON file; NaN becomes null."""
        text = json.dumps(_without_nan(content), indent=2) + "\n"
        self._write(name, lambda path: path.write_text(text))

    def write_metrics(self, lines: Sequence[Json]) -> None:
        """All epochs so far, a line each."""
        text = "".join(json.dumps(_without_nan(line)) + "\n" for line in lines)
        self._write("metrics.jsonl", lambda path: path.write_text(text))

    def write_selection(self, epoch: int, selection: Selection, bag_ids: Sequence[str]) -> None:
        """The negatives of one epoch, best first."""
        columns = {"index": selection.index, "bag_id": bag_ids, "score": selection.score, "weight": selection.weight}
        table = pa.table(columns)
        self._write(f"selections/epoch={epoch:04d}.parquet", lambda path: pq.write_table(table, path))

    def save(self, state: Mapping[str, Any]) -> None:  # Any: tensors, numbers, lists and dicts of them
        """The checkpoint."""
        made = io.BytesIO()  # torch writing to a file says of a full disk no more than "unexpected pos"
        torch.save(dict(state), made)
        self._write("checkpoint/last.pt", lambda path: path.write_bytes(made.getbuffer()))

    def load(self) -> Json | None:
        """The checkpoint, or None if there is none; raises BadData if it can't be read."""
        path = self.path / "checkpoint" / "last.pt"
        if not path.exists():
            return None
        try:
            state: Json = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise BadData(f"{path} unreadable ({error})", "a checkpoint", f"remove {self.path} to start anew") from None
        return state

    def saved(self, epochs: int) -> str:
        """What so many epochs saved are worth, in words."""
        if not epochs:
            return "no epoch is saved yet; the same command starts anew"
        done = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
        return f"{done} saved in {self.path}; the same command goes on from there"

    def _require_place(self) -> None:
        """Told before any work is done; what only shows when writing is told then."""
        there = next(place for place in (self.path.absolute(), *self.path.absolute().parents) if os.path.exists(place))
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            kind = "not writable" if there.is_dir() else "no folder"
            raise BadInput(f"{there}, which is {kind}", "a folder with room and permission", "choose another --out")

    def _require_no_folders(self) -> None:
        """A folder with folders in it is somebody's home, or holds other runs."""
        inside = sorted(p.name for p in self.path.glob("*/") if p.is_dir() and p.name[0] != "." and p.name not in _OWN)
        if inside:
            more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
            raise BadInput(
                f"the folders {', '.join(inside[:3])}{more} in {self.path.resolve()}",
                "an empty folder, or one that is not there yet", "choose another --out",
            )  # fmt: skip

    def _read_json(self, name: str) -> Json | None:
        path = self.path / name
        try:
            return json.loads(path.read_text()) if path.exists() else None
        except (OSError, ValueError) as error:
            raise BadData(f"{path} unreadable ({error})", "JSON", f"remove {self.path} to start anew") from None

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        path = self.path / name
        made = path.with_name(f".{path.name}.{os.getpid()}")
        with ExitStack() as undo:  # whatever happens, Ctrl-C as well: nothing is left half-written
            undo.callback(_remove, made)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(made)
                os.replace(made, path)
            except OSError as error:
                told = f"{path} not writable ({os.strerror(error.errno) if error.errno else error})"
                remedy = "free some space or choose another --out"
                raise BadInput(told, "a folder with room and permission", remedy) from error
            undo.pop_all()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # nothing was made where nothing can be written


def _flat(values: Json, prefix: str = "") -> Json:
    flat: Json = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _differences(one: Json, other: Json) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def _without_nan(value: Any) -> Any:  # Any: JSON
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
