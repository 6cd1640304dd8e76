"""Clips in other forms than AudioSet's: a list of names and labels beside a folder of sounds, a folder for each class,
or the audio of Hugging Face's files. They become lists in AudioSet's form, whose tags are the labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.arrow_files import open_rows
from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.clip_files import ENDINGS, index_folder, is_clip
from negsift.common.data.audioset.read_clip_lists import match_files
from negsift.common.data.audioset.segments import ClipList, Segment
from negsift.common.data.files_below import files_below, in_order, name_below
from negsift.common.data.images import class_folders
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.columns import ID, LABEL, column
from negsift.common.data.table.sources.shards import shards
from negsift.common.data.table.sources.source import BuildConfig, split_of
from negsift.common.data.table.sources.tabular_files import as_text, describe_rows, label_reader, read_batches, splits
from negsift.common.data.table.sources.tar_shards import read_tars
from negsift.common.errors import BadData

AUDIO = "audio"
_STARTS = ("start", "start_seconds", "onset")
_UNLABELED = "no label"


def listed_clips(table: Path, root: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The clips that a list names, with their files below `root`, by split. Raises BadData for a list that can't be
    read, and where no file is found.
    """
    rows = pa.concat_tables(read_batches(table, config, pa.string()))
    described = describe_rows(rows, config, label_reader(rows.schema, table, config)).to_pylist()
    start = next((name for name in _STARTS if name in rows.column_names), None)
    starts = _seconds(rows[start], start, table) if start else [None] * len(described)
    segments, listed, no_label = dict[str, list[Segment]](), list[Segment](), dict[str, list[Segment]]()
    for row, start_s in zip(described, starts, strict=True):
        split, id = row.get("split") or split_of(table), _without_ending(row["bag_id"])
        segment = Segment(id, start_s, tuple(sorted(row["labels"] or ())), row.get("group_id"))
        (no_label if row["labels"] is None else segments).setdefault(split, []).append(segment)
        listed.append(segment)
    _require_once(listed, table)
    files = index_folder(root)
    matched = match_files(listed, files, table, root)
    return {split: _part(matched, some, no_label.get(split, ())) for split, some in segments.items()}


def clips_by_folder(root: Path) -> Mapping[str, ClipList]:
    """The clips of a folder with a sub-folder for each class, optionally below train/, val/ and test/. Raises BadData
    for fewer than two classes.
    """
    parts = [(name, root / name) for name in SPLITS if (root / name).is_dir()] or [("train", root)]
    found = {split: list(_in_classes(root, below)) for split, below in parts}
    classes = {segment.tags for clips in found.values() for segment, _ in clips}
    if len(classes) < 2:
        names = sorted(path.name for path in files_below(root) if is_clip(path))[:3]
        expected = "a list of their labels, or a sub-folder for each class"
        raise BadData(f"clips below {root}, such as {', '.join(names)}, and no labels", expected, "set labels=FILE")
    return {
        split: ClipList(tuple(segment for segment, _ in clips), tuple(recording for _, recording in clips))
        for split, clips in found.items()
    }


def clips_in_shards(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The rows of files with a column `audio` of {bytes, path}, by split. Ids are those of the id column, or else made
    of the file's name and the row's number.
    """
    clips = dict[str, list[tuple[Segment, Recording | None]]]()
    for file in shards(source):
        with open_rows(file.path) as opened:
            names, row = opened.schema.names, 0
            label = column(names, config, LABEL)
            if label not in names:
                found = f"{file.path} with columns {', '.join(names[:8])}"
                raise BadData(found, f"audio, and {label}", "name it: label_column=NAME")
            labels = label_reader(opened.schema, file.path, config)
            for table in opened.batches([name for name in names if name != AUDIO]):
                ids = _ids(table, file.name, row, config)
                stated = splits(table).to_pylist() if "split" in names else [None] * len(table)
                for id, tags, split in zip(ids, labels.read(table[label]).to_pylist(), stated, strict=True):
                    segment = Segment(id, None, tuple(sorted(tags or ())))
                    recording = None if tags is None else Recording(file.path, row)
                    clips.setdefault(split or file.split or split_of(file.path), []).append((segment, recording))
                    row += 1
    return {
        split: ClipList(
            tuple(segment for segment, recording in some if recording),
            tuple(recording for _, recording in some if recording),
            tuple((segment, _UNLABELED) for segment, recording in some if not recording),
        )
        for split, some in clips.items()
    }


def clips_in_tars(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The clips of WebDataset's shards, by split."""
    found = dict[str, list[tuple[Segment, Recording]]]()
    missing = dict[str, list[tuple[Segment, str]]]()
    for sample in read_tars(source, config)[0]:
        span, segment = sample.payload(ENDINGS), Segment(sample.id, None, tuple(sorted(sample.labels or ())))
        if span is None or sample.labels is None:
            missing.setdefault(sample.split, []).append((segment, "no sound" if span is None else _UNLABELED))
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


def _part(matched: ClipList, segments: Iterable[Segment], no_label: Sequence[Segment]) -> ClipList:
    """Those of the clips that are `segments`."""
    files, missing = dict(zip(matched.segments, matched.recordings, strict=True)), dict(matched.missing)
    found = [segment for segment in segments if segment in files]
    lost = [(segment, missing[segment]) for segment in segments if segment in missing]
    told = (*lost, *((segment, _UNLABELED) for segment in no_label))
    return ClipList(tuple(found), tuple(files[segment] for segment in found), told)


def _in_classes(root: Path, below: Path) -> Iterator[tuple[Segment, Recording]]:
    for name in class_folders(below):
        for path in in_order(filter(is_clip, files_below(below / name))):
            id = name_below(root, path).removesuffix(path.suffix)
            yield Segment(id, None, (name,)), Recording(path)


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


def _require_once(segments: Sequence[Segment], table: Path) -> None:
    names = [segment.name for segment in segments]
    if len({*names}) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadData(f"{twice} a second time in {table}", "each clip once", "remove one, or join their labels")
