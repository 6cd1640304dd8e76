"""Bags of one encoded clip each, with its bytes unchanged: AudioSet, clips in its form, and those of `listed_clips`.

The labels are the display names of all of a clip's tags, or mids without a name. Clips without a file and clips
that can't be decoded are left out and reported.
"""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch

from negsift.common.data.arrow_files import read_schema
from negsift.common.data.audio.decode import read_sound
from negsift.common.data.audio.recording import Recording, RecordingReader
from negsift.common.data.audioset.classes import Vocabulary, read_vocabulary
from negsift.common.data.audioset.clip_files import clips_below, is_clip
from negsift.common.data.audioset.parquet import is_audioset
from negsift.common.data.audioset.read_clip_lists import read_clip_list, read_clip_lists
from negsift.common.data.audioset.segments import ClipList
from negsift.common.data.table.schema import Payload, SoundFormat, table_schema
from negsift.common.data.table.sources.bag_list import find_lists, tables_in
from negsift.common.data.table.sources.listed_clips import clips_by_folder, clips_in_shards, clips_in_tars, listed_clips
from negsift.common.data.table.sources.shards import is_shard, shards_below
from negsift.common.data.table.sources.source import BuildConfig, Part, Source, cut
from negsift.common.data.table.sources.split_names import split_of
from negsift.common.data.table.sources.tar_shards import tar_files
from negsift.common.data.table.sources.unused_settings import OF_LISTS, refuse
from negsift.common.errors import BadData, BadInput

_CLIPS = 32
_CLASS_LISTS = ("all", "audioset40")
"""What `data.audio.classes` takes besides names."""


def open_clips(source: Path, config: BuildConfig) -> Source:
    """The clips of a folder with AudioSet's lists or its parquet files, or of one such list or file. Raises BadData for
    a source without clips, or with more than half of them missing or undecodable.
    """
    if any(name in _CLASS_LISTS or name.startswith("top:") for name in config.classes):
        found, expected = f"classes={','.join(config.classes)}", "names of classes that no bag has"
        raise BadInput(found, expected, "leave it out: a table has all classes of its clips")
    clip_lists = _clip_lists(source, config)
    root = source.parent if source.is_file() else source
    segments = [segment for clips in clip_lists.values() for segment in clips.segments]
    stated = {mid: name for clips in clip_lists.values() for mid, name in clips.names.items()}
    names = label_names(read_vocabulary(root, "all", segments, stated))
    sound = SoundFormat(config.sample_rate, float(config.seconds))
    payload = Payload("audio", "float16", (config.frames, config.mels), sound)
    missing = [f"{segment.name}: {why}" for clips in clip_lists.values() for segment, why in clips.missing]
    taken = [clip for split, clips in clip_lists.items() for clip in _taken(clips, split, names)]
    read = functools.partial(_tables, payload=payload)
    pieces = cut(taken, lambda clip: [clip.recording.path])
    parts = [Part(functools.partial(read, some), files) for some, files in pieces]
    return Source(payload, parts, missing, _beside(source, config, clip_lists), unit="clips")


def _beside(source: Path, config: BuildConfig, clip_lists: Mapping[str, ClipList]) -> list[str]:
    """A line for each other file of a clip, for each folder with clips that no list names, and for what else isn't
    read.
    """
    others = [line for clips in clip_lists.values() for line in clips.others]
    used = {recording.path for clips in clip_lists.values() for recording in clips.recordings}
    root = source.parent if source.is_file() else source
    if not any(map(is_clip, used)):
        return others
    unused = (path for path in clips_below(root) if path not in used)
    counts = Counter(path.parent.relative_to(root) for path in unused if path.is_file())
    others += [f"{folder}/: {count:,} of its clips not used" for folder, count in sorted(counts.items())]
    if config.labels or source.is_file() or _has_list(source) or find_lists(source, config):
        return others
    return [*others, *(f"{path.name}: not used as a list" for path in tables_in(source))]


def label_names(vocabulary: Vocabulary) -> Mapping[str, str]:
    """The label of each mid: its display name if that is unique, or else the mid."""
    counts = Counter(vocabulary.classes)
    return {mid: name if counts[name := vocabulary.name(mid)] == 1 else mid for mid in vocabulary.mids}


def _clip_lists(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The lists by split."""
    try:
        return _read_lists(source, config)
    except BadData as error:  # the remedy names the keys of `train`; `pool build` has others
        remedy = error.remedy.replace("data.root", "--from").replace("data.audio.train_set", "train_set")
        raise BadData(error.found, error.expected, remedy) from None


def _read_lists(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    has_list = _has_list(source)
    first = min(shards_below(source), default=None) if source.is_dir() else source
    if tar_files(source):
        return clips_in_tars(source, config)
    if config.labels:
        return listed_clips(find_lists(source, config), source, config)
    if first is not None and is_shard(first) and not has_list and not is_audioset(read_schema(first)):
        return clips_in_shards(source, config)
    if source.is_dir():
        if not has_list and first is None:
            tables = find_lists(source, config)
            if tables:
                return listed_clips(tables, source, config)
            refuse(config, (*OF_LISTS, "key", "train_set"), "a folder of clips for each class")
            return clips_by_folder(source)
        refuse(config, OF_LISTS, "a folder with AudioSet's lists")
        return dict(zip(("train", "test"), read_clip_lists(source, config.train_set), strict=True))
    if not (is_shard(source) or source.name.endswith("_segments.csv")) or config.columns:
        return listed_clips([source], source.parent, config)
    return {split_of(source): read_clip_list(source)}


def _has_list(source: Path) -> bool:
    """Whether a folder has lists of AudioSet."""
    return source.is_dir() and any(source.glob("[!.]*_segments.csv"))


class TakenClip(NamedTuple):
    """A clip that is to be a bag: its row without the sound, what messages call it, and where it is."""

    row: Mapping[str, object]
    name: str
    recording: Recording


def _taken(clips: ClipList, split: str, names: Mapping[str, str]) -> Iterator[TakenClip]:
    for number, (segment, recording) in enumerate(zip(clips.segments, clips.recordings, strict=True)):
        labels = sorted(names[mid] for mid in segment.tags) if segment.labeled else None
        row = {"bag_id": clips.ids[number], "labels": labels, "group_id": segment.group or segment.id, "split": split}
        yield TakenClip(row, clips.describe(number), recording)


def _tables(clips: Sequence[TakenClip], payload: Payload) -> Iterator[pa.Table | str]:
    """Tables of the decodable clips, and a line for each of the others."""
    assert payload.sound is not None
    reader, schema, fault = RecordingReader(), table_schema(payload), functools.partial(_fault, payload.sound.seconds)
    # A task of a cluster has some of its machine's cores, and torch is told how many.
    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="negsift-clips") as threads:
        for start in range(0, len(clips), _CLIPS):
            some = clips[start : start + _CLIPS]
            read = [_read(reader, clip.recording) for clip in some]
            checked = list(zip(some, read, threads.map(fault, read), strict=True))
            yield from (f"{clip.name}: {why}" for clip, _, why in checked if why)
            rows = [
                {**clip.row, "audio": {"bytes": data, "path": _place(clip.recording)}}
                for clip, data, why in checked
                if not why
            ]
            yield pa.Table.from_pylist(rows, schema)


def _place(recording: Recording) -> str:
    return recording.path.name if recording.row is None else f"{recording.path.name} row {recording.row}"


def _read(reader: RecordingReader, recording: Recording) -> bytes | str:
    """The encoded clip, or the reason why it can't be read."""
    try:
        return reader.read(recording)
    except BadData as error:
        return error.found
    except (OSError, pa.ArrowException) as error:
        return str(error)


def _fault(seconds: float, read: bytes | str) -> str:
    """The reason why a clip can't be read or decoded; empty if it can."""
    try:
        if isinstance(read, bytes):
            read_sound(read, seconds)
    except BadData as error:
        return error.found
    return read if isinstance(read, str) else ""
