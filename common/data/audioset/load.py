"""Loads training and test clips from `data.root`, decoded once."""

import logging
from collections.abc import Sequence

import numpy as np

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.store import build_store
from negsift.common.data.audioset.classes import Vocabulary
from negsift.common.data.audioset.clips import Clips
from negsift.common.data.audioset.read_clip_lists import read_lists
from negsift.common.data.audioset.segments import ClipList, Segment
from negsift.common.data.config import DataConfig
from negsift.common.errors import BadData

log = logging.getLogger(__name__)
_SHOWN = 3


def load(config: DataConfig) -> tuple[Clips, Clips]:
    """Training and test clips, sorted by id, with features and waveforms in the cache.

    `data.root` contains AudioSet's segment lists and, at any depth, clips named by their ids, or parquet files as on
    Hugging Face; `class_labels_indices.csv` and `ontology.json` are optional. Clips that are missing or can't be
    decoded are left out and listed. Raises BadData if these are more than half.
    """
    lists, vocabulary = read_lists(config)
    _log_unknown(lists, vocabulary)
    train = _clips(lists[0], vocabulary, config.audio, "training")
    return train, _clips(lists[1], vocabulary, config.audio, "test")


def _clips(clips: ClipList, vocabulary: Vocabulary, config: AudioConfig, name: str) -> Clips:
    """The clips of the `name` list that are to be used and could be decoded."""
    classes = frozenset(vocabulary.mids)

    def is_used(segment: Segment) -> bool:
        return not config.only_listed or not classes.isdisjoint(segment.tags)

    used = [number for number, segment in enumerate(clips.segments) if is_used(segment)]
    if not used:
        expected = "a clip with one of them, or data.audio.only_listed=false"
        raise BadData(f"none of {len(vocabulary.mids)} classes in the {name} list", expected, "set data.audio.classes")
    store = build_store([clips.recordings[number] for number in used], config)
    undecodable = [f"{clips.describe(used[number])}: {why}" for number, why in sorted(store.dropped.items())]
    missing = [f"{segment.name}: {remark}" for segment, remark in clips.missing if is_used(segment)]
    dropped, kept = (*missing, *undecodable), len(store.number)
    _log_counts(name, len(used), len(missing), undecodable)
    if len(dropped) > kept:
        found = f"{len(dropped)} of {kept + len(dropped)} {name} clips missing or undecodable (first: {dropped[0]})"
        raise BadData(found, "at least half to be usable", "correct data.root, or repair the clips")
    ids, rows = clips.ids, np.array(used, dtype=np.int64)[store.number].tolist()
    order = sorted(range(len(rows)), key=lambda place: ids[rows[place]])
    tags = tuple(frozenset(clips.segments[rows[place]].tags) for place in order)
    return Clips(tuple(ids[rows[place]] for place in order), tags, store.number[order], store, vocabulary, dropped)


def _log_counts(name: str, used: int, missing: int, undecodable: Sequence[str]) -> None:
    log.info("%s clips: %d found, %d listed without a file, %d not decodable", name, used, missing, len(undecodable))
    for line in undecodable[:_SHOWN]:
        log.warning("left out: %s", line)


def _log_unknown(lists: Sequence[ClipList], vocabulary: Vocabulary) -> None:
    tags = {tag for clips in lists for segment in clips.segments for tag in segment.tags}
    unknown = sorted(tags - vocabulary.names.keys())
    if unknown and vocabulary.names:
        log.warning("%d classes without a name (%s)", len(unknown), ", ".join(unknown[:_SHOWN]))
