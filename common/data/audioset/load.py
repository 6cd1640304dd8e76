"""From `data.root` to training and test clips, decoded once."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.store import build_store
from negsift.common.data.audioset.classes import Vocabulary, read_vocabulary
from negsift.common.data.audioset.clips import Clips
from negsift.common.data.audioset.listing import Listing
from negsift.common.data.audioset.lists import read_lists
from negsift.common.data.audioset.segments import Segment
from negsift.common.data.config import DataConfig
from negsift.common.errors import BadData

log = logging.getLogger(__name__)
_SHOWN = 3


def load(config: DataConfig) -> tuple[Clips, Clips]:
    """Training and test clips, sorted by id, with their features and waveforms in the cache.

    `data.root` holds AudioSet's segment lists and, at any depth, clips named after their ids, or
    parquet files as on Hugging Face; `class_labels_indices.csv` and `ontology.json` are read if they
    are there. Clips that are missing or can't be decoded are left out and listed; more than half is BadData.
    """
    if config.root is None:
        raise BadData("no data.root", "the folder with AudioSet's lists and clips", "add --set data.root=FOLDER")
    root = Path(config.root).expanduser()
    listings = read_lists(root, config.audio.train_set)
    vocabulary = read_vocabulary(root, config.audio.classes, listings[0].segments, listings[0].names)
    _tell_unknown(listings, vocabulary)
    _tell_shared(*listings)
    train = _clips(listings[0], vocabulary, config.audio, "training")
    return train, _clips(listings[1], vocabulary, config.audio, "test")


def _clips(listing: Listing, vocabulary: Vocabulary, config: AudioConfig, what: str) -> Clips:
    """The clips that are wanted and could be decoded."""
    classes = frozenset(vocabulary.mids)

    def wanted(segment: Segment) -> bool:
        return not config.only_listed or not classes.isdisjoint(segment.tags)

    kept = [at for at, segment in enumerate(listing.segments) if wanted(segment)]
    if not kept:
        expected = "a clip with one of them, or --set data.audio.only_listed=false"
        raise BadData(f"none of {len(vocabulary.mids)} classes in the {what} list", expected, "set data.audio.classes")
    store = build_store([listing.recordings[at] for at in kept], config)
    undecodable = [f"{listing.place(kept[number])}: {why}" for number, why in sorted(store.dropped.items())]
    missing = [f"{segment.name}: {remark}" for segment, remark in listing.missing if wanted(segment)]
    dropped = (*missing, *undecodable)
    _tell(what, len(kept), len(missing), undecodable)
    _require_half(len(store.number), dropped, what)
    ids, rows = listing.ids, np.array(kept, dtype=np.int64)[store.number].tolist()
    order = sorted(range(len(rows)), key=lambda at: ids[rows[at]])
    tags = tuple(frozenset(listing.segments[rows[at]].tags) for at in order)
    return Clips(tuple(ids[rows[at]] for at in order), tags, store.number[order], store, vocabulary, dropped)


def _tell(what: str, found: int, missing: int, undecodable: Sequence[str]) -> None:
    log.info("%s clips: %d found, %d listed without a file, %d not decodable", what, found, missing, len(undecodable))
    for line in undecodable[:_SHOWN]:
        log.warning("left out: %s", line)


def _tell_unknown(listings: Sequence[Listing], vocabulary: Vocabulary) -> None:
    tags = {tag for listing in listings for segment in listing.segments for tag in segment.tags}
    unknown = sorted(tags - vocabulary.names.keys())
    if unknown and vocabulary.names:
        log.warning("%d classes without a name (%s)", len(unknown), ", ".join(unknown[:_SHOWN]))


def _tell_shared(train: Listing, test: Listing) -> None:
    shared = sorted({segment.name for segment in train.segments} & {segment.name for segment in test.segments})
    if shared:
        log.warning("%d clips are in both lists, so that tests flatter (%s)", len(shared), ", ".join(shared[:_SHOWN]))


def _require_half(kept: int, dropped: Sequence[str], what: str) -> None:
    if len(dropped) > kept:
        raise BadData(
            f"{len(dropped)} of {kept + len(dropped)} {what} clips missing or undecodable (first: {dropped[0]})",
            "at least half of them", "correct --set data.root, or repair the clips",
        )  # fmt: skip
