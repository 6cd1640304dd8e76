"""Bags of one encoded clip each, whose bytes are kept as they are: AudioSet, or anything in its form.

The labels are all of a clip's tags, by their display names where those are known. Clips that are listed
without a file, empty or broken are left out, and listed.
"""

import functools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from negsift.common.data.audio.decode import read_sound
from negsift.common.data.audio.recording import Reader, Recording
from negsift.common.data.audioset.classes import Vocabulary, read_vocabulary
from negsift.common.data.audioset.listing import Listing
from negsift.common.data.audioset.lists import read_list, read_lists
from negsift.common.data.table.schema import COLUMNS, ENCODED, Payload, Sound
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.errors import BadData

log = logging.getLogger(__name__)
_CLIPS, _SHOWN = 32, 3


def open_clips(source: Path, config: BuildConfig) -> Source:
    """The clips of a folder with AudioSet's lists or its parquet files, or of one such list or file.

    Raises BadData for a source without clips, or with mostly missing and broken ones.
    """
    listings = _listings(source, config)
    root = source.parent if source.is_file() else source
    segments = [segment for listing in listings.values() for segment in listing.segments]
    told = {mid: name for listing in listings.values() for mid, name in listing.names.items()}
    names = label_names(read_vocabulary(root, "all", segments, told))
    sound = Sound(config.sample_rate, float(config.seconds))
    dropped = [f"{s.name}: {why}" for listing in listings.values() for s, why in listing.missing]
    tables = _tables(listings, names, config.seconds, dropped)
    return Source(Payload("audio", "float16", (config.frames, config.mels), sound), tables, dropped)


def is_audioset(source: Path) -> bool:
    """Whether a folder, a list or a parquet file is one of clips."""
    if source.is_dir():
        first = next(source.rglob("*.parquet"), None)
        return any(source.glob("*_segments.csv")) or (first is not None and is_audioset(first))
    if source.suffix != ".parquet":
        return source.name.endswith("_segments.csv")
    try:
        schema = pq.read_schema(source)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{source} unreadable ({error})", "a parquet file", "repair it") from None
    return "audio" in schema.names and pa.types.is_struct(schema.field("audio").type)


def label_names(vocabulary: Vocabulary) -> Mapping[str, str]:
    """A label for each mid: its display name, if no other has the same, else itself."""
    counts = Counter(vocabulary.classes)
    return {mid: name if counts[name := vocabulary.name(mid)] == 1 else mid for mid in vocabulary.mids}


def _listings(source: Path, config: BuildConfig) -> Mapping[str, Listing]:
    """The lists by split."""
    try:
        if source.is_dir():
            return dict(zip(("train", "test"), read_lists(source, config.train_set), strict=True))
        held_out = source.name.startswith(("eval", "test"))
        return {"test" if held_out else "train": read_list(source)}
    except BadData as error:  # said for `train`, where these keys have other names
        remedy = error.remedy.replace("--set data.root", "--from").replace("data.audio.train_set", "--set train_set")
        raise BadData(error.found, error.expected, remedy) from None


def _tables(
    listings: Mapping[str, Listing], names: Mapping[str, str], seconds: float, dropped: list[str]
) -> Iterator[pa.Table]:
    """Tables of whole clips; those that are none are added to `dropped`, which has the missing ones already."""
    missing, kept = len(dropped), 0
    for split, listing in listings.items():
        for whole in _whole(listing, seconds, dropped):
            rows = [_row(listing, at, data, names) | {"split": split} for at, data in whole]
            kept += len(rows)
            yield pa.Table.from_pylist(rows, _SCHEMA)
    log.info("%d clips taken, %d listed without a file, %d not decodable", kept, missing, len(dropped) - missing)
    for line in dropped[:_SHOWN]:
        log.warning("left out: %s", line)
    if len(dropped) > kept:
        found = f"{len(dropped)} of {len(dropped) + kept} clips missing or undecodable (first: {dropped[0]})"
        raise BadData(found, "at least half of them", "correct --from, or repair the clips")


def _whole(listing: Listing, seconds: float, dropped: list[str]) -> Iterator[list[tuple[int, bytes]]]:
    """Clips that can be decoded, some at a time: their numbers in the list, and their bytes."""
    reader, every = Reader(), range(len(listing.recordings))
    fault = functools.partial(_fault, seconds)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="negsift-clips") as threads:
        for start in tqdm(every[::_CLIPS], "clips", disable=None, leave=False, unit=f"x{_CLIPS}"):
            some = every[start : start + _CLIPS]
            read = [_read(reader, listing.recordings[at]) for at in some]
            checked = list(zip(some, read, threads.map(fault, read), strict=True))
            dropped += [f"{listing.place(at)}: {why}" for at, _, why in checked if why]
            yield [(at, data) for at, data, why in checked if isinstance(data, bytes) and not why]


def _read(reader: Reader, recording: Recording) -> bytes | str:
    """The encoded clip, or why it can't be read."""
    try:
        return reader.read(recording)
    except (OSError, pa.ArrowException) as error:
        return str(error)


def _fault(seconds: float, read: bytes | str) -> str:
    """What is wrong with a clip; nothing if it can be decoded."""
    try:
        if isinstance(read, bytes):
            read_sound(read, seconds)
    except BadData as error:
        return error.found
    return read if isinstance(read, str) else ""


def _row(listing: Listing, at: int, data: bytes, names: Mapping[str, str]) -> dict[str, object]:
    segment, recording = listing.segments[at], listing.recordings[at]
    place = recording.path.name if recording.row is None else f"{recording.path.name} row {recording.row}"
    labels = sorted(names[mid] for mid in segment.tags)
    return {
        "bag_id": listing.ids[at], "labels": labels, "group_id": segment.id, "audio": {"bytes": data, "path": place},
    }  # fmt: skip


_SCHEMA = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split", "group_id")), ("audio", ENCODED)]
)
