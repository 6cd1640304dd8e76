"""Reads training and test lists, from AudioSet's CSVs and a folder of clips, or from parquet files."""

import logging
from collections.abc import Sequence
from pathlib import Path

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.classes import Vocabulary, read_vocabulary
from negsift.common.data.audioset.clip_files import FORMS, ClipFiles, find_file, index_folder
from negsift.common.data.audioset.parquet import read_parquet
from negsift.common.data.audioset.segments import ClipList, Segment, read_segments
from negsift.common.data.config import ROOTS, DataConfig
from negsift.common.data.files_below import files_below
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

log = logging.getLogger(__name__)


def read_lists(config: DataConfig) -> tuple[tuple[ClipList, ClipList], Vocabulary]:
    """The training and the test list in `data.root`, and the classes. Raises BadData and UnknownName as they do."""
    root = config.folder(ROOTS["audioset"])
    lists = read_clip_lists(root, config.audio.train_set)
    return lists, read_vocabulary(root, config.audio.classes, lists[0].segments, lists[0].names)


def read_clip_lists(root: Path, train_set: str) -> tuple[ClipList, ClipList]:
    """The training and the test list in `root`; AudioSet's own CSVs are preferred to parquet files. Raises BadData if
    there is neither, no clip of a list, or one in both.
    """
    train, test = _read_both(root, train_set)
    shared = sorted({segment.name for segment in train.segments} & {segment.name for segment in test.segments})
    if shared:
        found = f"{len(shared)} clips in both lists of {root} (first: {shared[0]})"
        raise BadData(found, "clips that are for training or for the test", "remove them from one")
    return train, test


def _read_both(root: Path, train_set: str) -> tuple[ClipList, ClipList]:
    if not root.is_dir():
        raise BadData(f"no folder {root}", "the folder of the clips", "correct data.root")
    train, test = root / f"{train_set}_train_segments.csv", root / "eval_segments.csv"
    if train.exists() and test.exists():
        folder = index_folder(root)
        return _match(train, folder), _match(test, folder)
    part = {"balanced": "bal_train", "unbalanced": "unbal_train"}[train_set]
    parts = _parquet(root, part, "train"), _parquet(root, "eval", "test", "eval")
    if all(parts):
        return read_parquet(parts[0]), read_parquet(parts[1])
    found = f"neither {train.name} and {test.name} nor {part}/*.parquet and eval/*.parquet in {root}"
    raise BadData(found, "AudioSet in one of these forms", "correct data.root or data.audio.train_set")


def read_clip_list(path: Path) -> ClipList:
    """One list, with the clips in or below its folder, or one parquet file. Raises BadData for anything else."""
    return read_parquet([path]) if path.suffix == ".parquet" else _match(path, index_folder(path.parent))


def _match(path: Path, files: ClipFiles) -> ClipList:
    return match_files(read_segments(path), files, path.name, path.parent)


def match_files(listed: Sequence[Segment], files: ClipFiles, name: str, root: Path) -> ClipList:
    """The segments of the list `name` with their files below `root`. Raises BadData if none has one."""
    ids = {segment.id for segment in listed}
    segments, recordings, missing, ambiguous = [], [], [], []
    for segment in listed:
        file, remark = find_file(segment, files, ids)
        if file is None:
            missing.append((segment, remark))
            continue
        ambiguous += [remark] if remark else []
        segments.append(segment)
        recordings.append(Recording(file))
    if ambiguous:
        log.warning("%d clips with more than one file (%s)", len(ambiguous), ambiguous[0])
    if not segments:
        seen = some_of(sorted({file.path.name for some in files.values() for file in some}), 3)
        found = f"no clip of {name} ({len(missing)} listed, such as {listed[0].id}) below {root}, "
        found += f"but {seen}" if seen else "and no sound at all"
        raise BadData(found, f"names such as {FORMS}", "correct data.root")
    return ClipList(tuple(segments), tuple(recordings), tuple(missing), others=tuple(ambiguous))


def _parquet(root: Path, folder: str, *stems: str) -> list[Path]:
    """The files in a folder of that name, or else the files whose name begins with one of `stems`."""
    files = sorted(path for path in files_below(root) if path.suffix == ".parquet")
    inside = [path for path in files if folder in path.relative_to(root).parts[:-1]]
    return inside or [path for path in files if path.name.startswith(stems)]
