"""Clips in other forms than AudioSet's: a list of names and labels beside a folder of sounds, a folder for each class,
or the audio of Hugging Face's files. They become lists in AudioSet's form, whose tags are the labels.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.arrow_files import open_rows
from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.clip_files import ENDINGS, ClipFiles, clips_below, index_folder
from negsift.common.data.audioset.read_clip_lists import match_files
from negsift.common.data.audioset.segments import ClipList, Segment
from negsift.common.data.files_below import in_order, name_below
from negsift.common.data.images import class_folders
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.bag_list import read_rows
from negsift.common.data.table.sources.columns import GROUP, ID, LABEL, SPLIT, column, require_stated
from negsift.common.data.table.sources.shards import shards
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.split_names import folder_split, split_folders, split_of, stated_split
from negsift.common.data.table.sources.tabular_files import as_text, describe_rows, label_reader, splits
from negsift.common.data.table.sources.tar_samples import read_samples
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

AUDIO = "audio"
_STARTS = ("start", "start_seconds", "onset")


def listed_clips(tables: Sequence[Path], root: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The clips that lists name, with their files below `root`, by split: that of the list, or else of the folder.
    Raises BadData for a list that can't be read, where no file is found, and where one of several is meant.
    """
    listed, splits = list[Segment](), list[str | None]()
    for table in tables:
        for segment, split in _read_list(table, config):
            listed.append(segment)
            splits.append(split)
    name = ", ".join(path.name for path in tables)
    _require_once(listed, name)
    files = index_folder(root)
    _require_whole_names(listed, files, name)
    matched = match_files(listed, files, name, root)
    recordings = dict(zip(matched.segments, matched.recordings, strict=True))
    members = dict[str, list[Segment]]()
    for segment, split in zip(listed, splits, strict=True):
        folder = folder_split(root, recordings[segment].path) if segment in recordings else None
        members.setdefault(split or folder or SPLITS[0], []).append(segment)
    parts = {split: _part(matched, some) for split, some in members.items()}
    first = next(iter(parts))
    return parts | {first: dataclasses.replace(parts[first], others=matched.others)}


def _read_list(table: Path, config: BuildConfig) -> Iterator[tuple[Segment, str | None]]:
    """The rows of a list, each with the split that it or the list's name states."""
    rows = read_rows(table, config)
    described = describe_rows(rows, config, label_reader(rows.schema, table, config)).to_pylist()
    start = next((name for name in _STARTS if name in rows.column_names), None)
    starts = _seconds(rows[start], start, table) if start else [None] * len(described)
    for row, start_s in zip(described, starts, strict=True):
        labels = row["labels"]
        id, tags = _without_ending(row["bag_id"]), tuple(sorted(labels or ()))
        segment = Segment(id, start_s, tags, row.get("group_id"), labels is not None)
        yield segment, row.get("split") or stated_split(table)


def clips_by_folder(root: Path) -> Mapping[str, ClipList]:
    """The clips of a folder with a sub-folder for each class, optionally below train/, val/ and test/. Raises BadData
    for fewer than two classes.
    """
    found = dict[str, list[tuple[Segment, Recording]]]()
    for split, below in split_folders(root):
        found.setdefault(split, []).extend(_in_classes(root, below))
    classes = {segment.tags for clips in found.values() for segment, _ in clips}
    if len(classes) < 2:
        names = some_of(sorted(path.name for path in clips_below(root)), 3)
        expected = "a list of their labels, or a sub-folder for each class"
        raise BadData(f"clips below {root}, such as {names}, and no labels", expected, "set labels=FILE")
    return {
        split: ClipList(tuple(segment for segment, _ in clips), tuple(recording for _, recording in clips))
        for split, clips in found.items()
    }


def clips_in_shards(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The rows of files with a column `audio` of {bytes, path}, by split. Ids are those of the id column, or else made
    of the file's name and the row's number.
    """
    clips = dict[str, list[tuple[Segment, Recording]]]()
    for file in shards(source):
        with open_rows(file.path) as opened:
            names, row = opened.schema.names, 0
            label = column(names, config, LABEL)
            if label not in names:
                found = f"{file.path} with columns {some_of(names)}"
                raise BadData(found, f"audio, and {label}", "name it: label_column=NAME")
            require_stated(names, file.path, config)
            labels = label_reader(opened.schema, file.path, config)
            for table in opened.batches([name for name in names if name != AUDIO]):
                ids = _ids(table, file.name, row, config)
                stated = _if_there(table, column(names, config, SPLIT), splits)
                groups = _if_there(table, column(names, config, GROUP), as_text)
                for id, tags, split, of in zip(ids, labels.read(table[label]).to_pylist(), stated, groups, strict=True):
                    segment = Segment(id, None, tuple(sorted(tags or ())), of, tags is not None)
                    recording = Recording(file.path, row)
                    clips.setdefault(split or file.split or split_of(file.path), []).append((segment, recording))
                    row += 1
    return {
        split: ClipList(tuple(segment for segment, _ in some), tuple(recording for _, recording in some))
        for split, some in clips.items()
    }


def _if_there(
    table: pa.Table, name: str, read: Callable[[pa.Table, str], pa.Array | pa.ChunkedArray]
) -> list[str | None]:
    """A column as text, or nothing in each row."""
    texts: list[str | None] = read(table, name).to_pylist() if name in table.column_names else [None] * len(table)
    return texts


def clips_in_tars(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The clips of WebDataset's shards, by split."""
    found = dict[str, list[tuple[Segment, Recording]]]()
    missing = dict[str, list[tuple[Segment, str]]]()
    for sample in read_samples(source, config)[0]:
        span, tags = sample.payload(ENDINGS, config.key), tuple(sorted(sample.labels or ()))
        segment = Segment(sample.id, None, tags, sample.group, sample.labels is not None)
        if span is None:
            missing.setdefault(sample.split, []).append((segment, "no sound"))
        else:
            recording = Recording(span.path, span=(span.start, span.size))
            found.setdefault(sample.split, []).append((segment, recording))
    return {
        split: ClipList(
            tuple(segment for segment, _ in found.get(split, ())),
            tuple(recording for _, recording in found.get(split, ())), tuple(missing.get(split, ())),
        )
        for split in {**found, **missing}
    }  # fmt: skip


def _part(matched: ClipList, segments: Iterable[Segment]) -> ClipList:
    """Those of the clips that are `segments`."""
    files, missing = dict(zip(matched.segments, matched.recordings, strict=True)), dict(matched.missing)
    found = [segment for segment in segments if segment in files]
    lost = [(segment, missing[segment]) for segment in segments if segment in missing]
    return ClipList(tuple(found), tuple(files[segment] for segment in found), tuple(lost))


def _in_classes(root: Path, below: Path) -> Iterator[tuple[Segment, Recording]]:
    for name in class_folders(below):
        labels = (name,)  # one for all: parts are sent to where they are read
        for path in in_order(clips_below(below / name)):
            id = name_below(root, path).removesuffix(path.suffix)
            yield Segment(id, None, labels), Recording(path)


def _ids(table: pa.Table, name: str, row: int, config: BuildConfig) -> list[str]:
    id = column(table.column_names, config, ID)
    if id in table.column_names:
        ids: list[str] = as_text(table, id).to_pylist()
        return ids
    return [f"{name}-{number:06d}" for number in range(row, row + len(table))]


def _seconds(values: pa.ChunkedArray, name: str, table: Path) -> list[float]:
    try:
        return [float(text) for text in values.to_pylist()]
    except (TypeError, ValueError) as error:
        raise BadData(f"column {name!r} of {table} ({error})", "seconds in every row", "correct it") from None


def _without_ending(id: str) -> str:
    path = Path(id)
    return id.removesuffix(path.suffix) if path.suffix.lower() in ENDINGS else id


def _require_once(segments: Sequence[Segment], lists: str) -> None:
    name, times = Counter(segment.name for segment in segments).most_common(1)[0]
    if times > 1:
        raise BadData(f"{name} a second time in {lists}", "each clip once", "remove one, or join their labels")


def _require_whole_names(segments: Sequence[Segment], files: ClipFiles, lists: str) -> None:
    """Raise BadData for a clip that is called by the name of several files in different folders."""
    for segment in segments:
        paths = [file.path for file in files.get(segment.id, ()) if file.start is None]
        if len({path.name for path in paths}) < len(paths):
            names = some_of((f"{path.parent.name}/{path.name}" for path in paths), 3)
            found = f"clip {segment.id!r} of {lists}, which has the files {names}"
            raise BadData(found, "a file for each", "name files of one name by their folders")
