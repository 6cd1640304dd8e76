"""The training or the test list, from AudioSet's CSV and a folder of clips, or from parquet files."""

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from common.data.audio.recording import Recording
from common.data.audioset.files import Folder, find_file, index_folder
from common.data.audioset.segments import Segment, read_segments
from common.errors import BadData

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """Segments with their recordings, those `missing` with a remark, display `names` by mid where told."""

    segments: tuple[Segment, ...]
    recordings: tuple[Recording, ...]
    missing: tuple[tuple[Segment, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def place(self, at: int) -> str:
        """A clip's name and where it lies."""
        recording = self.recordings[at]
        row = "" if recording.row is None else f", row {recording.row}"
        return f"{self.ids[at]} ({recording.path.name}{row})"

    @functools.cached_property
    def ids(self) -> list[str]:
        """A name for each clip: its id, with the start added if a video has several segments."""
        plain = [segment.id for segment in self.segments]
        return plain if len(set(plain)) == len(plain) else [segment.name for segment in self.segments]


def read_lists(root: Path, train_set: str) -> tuple[Listing, Listing]:
    """Training and test list of what lies in `root`; AudioSet's own CSVs are preferred to parquet.

    Raises BadData where neither is found, or no clip of a list.
    """
    if not root.is_dir():
        raise BadData(f"no folder {root}", "the folder that holds the clips", "correct --set data.root")
    train, test = root / f"{train_set}_train_segments.csv", root / "eval_segments.csv"
    if train.exists() and test.exists():
        folder = index_folder(root)
        return _match(train, folder), _match(test, folder)
    short = {"balanced": "bal_train", "unbalanced": "unbal_train"}[train_set]
    parts = _parquet(root, short, "train"), _parquet(root, "eval", "test", "eval")
    if all(parts):
        return _read_parquet(parts[0]), _read_parquet(parts[1])
    raise BadData(
        f"neither {train.name} and {test.name} nor {short}/*.parquet and eval/*.parquet in {root}",
        "AudioSet in one of these forms", "correct --set data.root or data.audio.train_set",
    )  # fmt: skip


def read_list(path: Path) -> Listing:
    """One list with the clips beside or below it, or one parquet file; raises BadData for anything else."""
    return _read_parquet([path]) if path.suffix == ".parquet" else _match(path, index_folder(path.parent))


def _match(path: Path, folder: Folder) -> Listing:
    segments, recordings, missing, several = [], [], [], []
    for segment in read_segments(path):
        file, remark = find_file(segment, folder)
        if file is None:
            missing.append((segment, remark))
            continue
        several += [remark] if remark else []
        segments.append(segment)
        recordings.append(Recording(file))
    if several:
        log.warning("%d clips with more than one file (%s)", len(several), several[0])
    if not segments:
        found = f"no clip of {path.name} below {path.parent} ({len(missing)} listed)"
        raise BadData(found, "files named after their ids", "correct --set data.root")
    return Listing(tuple(segments), tuple(recordings), tuple(missing))


def _parquet(root: Path, folder: str, *stems: str) -> list[Path]:
    """Files in a folder of that name, else those whose own name begins with one of `stems`."""
    every = sorted(root.rglob("*.parquet"))
    inside = [path for path in every if folder in path.relative_to(root).parts[:-1]]
    return inside or [path for path in every if path.name.startswith(stems)]


def _read_parquet(paths: list[Path]) -> Listing:
    """Rows as on Hugging Face (agkphysics/AudioSet): video_id, audio {bytes, path}, labels, perhaps human_labels."""
    segments, recordings, names = [], [], dict[str, str]()
    for path in paths:
        table = _read_labels(path)
        human = table["human_labels"].to_pylist() if "human_labels" in table.column_names else [[]] * len(table)
        rows = zip(table["video_id"].to_pylist(), table["labels"].to_pylist(), human, strict=True)
        for row, (name, tags, said) in enumerate(rows):
            segments.append(Segment(name, None, tuple(sorted(tags))))
            recordings.append(Recording(path, row))
            names |= dict(zip(tags, said, strict=False))
    if len({segment.id for segment in segments}) < len(segments):
        raise BadData(f"an id twice in {paths[0].parent}", "each clip once", "remove the copies")
    return Listing(tuple(segments), tuple(recordings), names=names)


def _read_labels(path: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        types = {field.name: field.type for field in schema}
        fitting = pa.types.is_struct(types["audio"]) and pa.types.is_list(types["labels"]) and "video_id" in types
        if fitting and types["audio"].get_field_index("bytes") >= 0:
            return file.read(columns=[name for name in ("video_id", "labels", "human_labels") if name in types])
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} unreadable ({error})", "a parquet file", "fetch it anew") from None
    except KeyError:
        pass
    columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise BadData(f"columns {columns} in {path}", "video_id, audio {bytes, path}, labels", "rename the columns")
