"""The training or the test list, from AudioSet's CSV and a folder of clips, or from parquet files."""

import logging
from pathlib import Path

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.files import Folder, find_file, index_folder
from negsift.common.data.audioset.listing import Listing
from negsift.common.data.audioset.parquet import read_parquet
from negsift.common.data.audioset.segments import read_segments
from negsift.common.errors import BadData

log = logging.getLogger(__name__)


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
        return read_parquet(parts[0]), read_parquet(parts[1])
    raise BadData(
        f"neither {train.name} and {test.name} nor {short}/*.parquet and eval/*.parquet in {root}",
        "AudioSet in one of these forms", "correct --set data.root or data.audio.train_set",
    )  # fmt: skip


def read_list(path: Path) -> Listing:
    """One list with the clips beside or below it, or one parquet file; raises BadData for anything else."""
    return read_parquet([path]) if path.suffix == ".parquet" else _match(path, index_folder(path.parent))


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
