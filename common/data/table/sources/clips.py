"""Bags of one encoded clip each, with its bytes unchanged: AudioSet, or clips in its form.

The labels are the display names of all of a clip's tags, or mids without a name. Clips without a file and clips
that can't be decoded are left out and reported.
"""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from negsift.common.data.audio.decode import read_sound
from negsift.common.data.audio.recording import Recording, RecordingReader
from negsift.common.data.audioset.classes import Vocabulary, read_vocabulary
from negsift.common.data.audioset.read_clip_lists import read_clip_list, read_clip_lists
from negsift.common.data.audioset.segments import ClipList
from negsift.common.data.files_below import files_below
from negsift.common.data.parquet_file import open_parquet
from negsift.common.data.table.schema import Payload, SoundFormat, table_schema
from negsift.common.data.table.sources.source import BuildConfig, Source, split_of
from negsift.common.errors import BadData, BadInput

log = logging.getLogger(__name__)
_CLIPS, _SHOWN = 32, 3
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
    dropped = [f"{segment.name}: {why}" for clips in clip_lists.values() for segment, why in clips.missing]
    payload = Payload("audio", "float16", (config.frames, config.mels), sound)
    return Source(payload, _tables(clip_lists, names, payload, dropped), dropped)


def is_audioset(source: Path) -> bool:
    """Whether a folder, a list or a parquet file contains clips. Raises BadData for an unreadable parquet file."""
    if source.is_dir():
        first = next((path for path in files_below(source) if path.suffix == ".parquet"), None)
        return any(source.glob("[!.]*_segments.csv")) or (first is not None and is_audioset(first))
    if source.suffix != ".parquet":
        return source.name.endswith("_segments.csv")
    with open_parquet(source) as opened:
        schema = opened.schema_arrow
    return "audio" in schema.names and pa.types.is_struct(schema.field("audio").type)


def label_names(vocabulary: Vocabulary) -> Mapping[str, str]:
    """The label of each mid: its display name if that is unique, or else the mid."""
    counts = Counter(vocabulary.classes)
    return {mid: name if counts[name := vocabulary.name(mid)] == 1 else mid for mid in vocabulary.mids}


def _clip_lists(source: Path, config: BuildConfig) -> Mapping[str, ClipList]:
    """The lists by split."""
    try:
        if source.is_dir():
            return dict(zip(("train", "test"), read_clip_lists(source, config.train_set), strict=True))
        return {split_of(source): read_clip_list(source)}
    except BadData as error:  # the remedy names the keys of `train`; `pool build` has others
        remedy = error.remedy.replace("data.root", "--from").replace("data.audio.train_set", "train_set")
        raise BadData(error.found, error.expected, remedy) from None


def _tables(
    clip_lists: Mapping[str, ClipList], names: Mapping[str, str], payload: Payload, dropped: list[str]
) -> Iterator[pa.Table]:
    """Tables of decodable clips. `dropped`, which lists the missing clips already, gets the undecodable ones."""
    assert payload.sound is not None
    missing, kept, schema, seconds = len(dropped), 0, table_schema(payload), payload.sound.seconds
    for split, clips in clip_lists.items():
        for decodable in _decodable(clips, seconds, dropped):
            rows = [_row(clips, number, data, names) | {"split": split} for number, data in decodable]
            kept += len(rows)
            yield pa.Table.from_pylist(rows, schema)
    log.info("%d clips taken, %d listed without a file, %d not decodable", kept, missing, len(dropped) - missing)
    for line in dropped[:_SHOWN]:
        log.warning("left out: %s", line)
    if len(dropped) > kept:
        found = f"{len(dropped)} of {len(dropped) + kept} clips missing or undecodable (first: {dropped[0]})"
        raise BadData(found, "at least half to be usable", "correct --from, or repair the clips")


def _decodable(clips: ClipList, seconds: float, dropped: list[str]) -> Iterator[list[tuple[int, bytes]]]:
    """Batches of decodable clips: their numbers in the list, and their bytes."""
    reader, all_numbers = RecordingReader(), range(len(clips.recordings))
    fault = functools.partial(_fault, seconds)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="negsift-clips") as threads:
        for start in tqdm(all_numbers[::_CLIPS], "clips", disable=None, leave=False, unit=f"x{_CLIPS}"):
            numbers = all_numbers[start : start + _CLIPS]
            read = [_read(reader, clips.recordings[number]) for number in numbers]
            checked = list(zip(numbers, read, threads.map(fault, read), strict=True))
            dropped += [f"{clips.describe(number)}: {why}" for number, _, why in checked if why]
            yield [(number, data) for number, data, why in checked if isinstance(data, bytes) and not why]


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


def _row(clips: ClipList, number: int, data: bytes, names: Mapping[str, str]) -> dict[str, object]:
    segment, recording = clips.segments[number], clips.recordings[number]
    place = recording.path.name if recording.row is None else f"{recording.path.name} row {recording.row}"
    labels = sorted(names[mid] for mid in segment.tags)
    return {
        "bag_id": clips.ids[number], "labels": labels, "group_id": segment.id, "audio": {"bytes": data, "path": place},
    }  # fmt: skip
