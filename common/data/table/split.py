"""A bag table as training data: positives, pool, validation and test bags of one target, by the column `split`."""

import dataclasses
import logging

import numpy as np

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.logmel import real_frames
from negsift.common.data.config import ROOTS, DataConfig
from negsift.common.data.split import Split
from negsift.common.data.table.bag_filter import BagFilter, needed_columns
from negsift.common.data.table.bags import open_bags
from negsift.common.data.table.check import check_files
from negsift.common.data.table.hash_split import HashSplit, with_both_kinds
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.reader import read_columns
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadData, BadInput

log = logging.getLogger(__name__)
_EVALUATION = ("val", "test")


def load(config: DataConfig) -> Split:
    """The sets of the table in `data.root`, version `data.version`. For each of validation and test that no bag is
    marked for, `data.val_share` of the training groups is set aside, with positive and negative bags if there are
    enough. Only the positives are kept in memory. Raises BadInput without a table, UnknownName for a label, BadData
    where a kind of bag is missing.
    """
    if not config.root:
        raise BadInput("no data.root", ROOTS["table"], "add data.root=FOLDER")
    location = Location.of(config.root)
    manifest = read_manifest(location, config.version)
    target = manifest.class_of(config.target, location.name)
    label = manifest.classes[target]
    hash_split = _hash_split(location, manifest, config, label)
    kinds = [(split, positive) for split in ("train", *_EVALUATION) for positive in (False, True)]
    filters = [BagFilter(label, positive, split, hash_split) for split, positive in kinds]
    bags = dict(zip(kinds, open_bags(location, filters, manifest.version), strict=True))
    positives = TableSet.of(f"train-class{target}", positive=bags["train", True]).loaded()
    pool = TableSet.of(f"train-class{target}", negative=bags["train", False])
    val, test = (
        TableSet.of(f"{split}-class{target}", negative=bags[split, False], positive=bags[split, True])
        for split in _EVALUATION
    )
    form = _form(positives) if manifest.payload.sound else None
    return Split(*(dataclasses.replace(part, form=form) for part in (positives, pool, val, test)))


def _hash_split(location: Location, manifest: Manifest, config: DataConfig, label: str) -> HashSplit | None:
    """The rule that sets bags aside for the splits that no bag is marked for, which the log says in one line."""
    files, marked = check_files(location, manifest.files, manifest.payload), set[str | None]()
    for table in read_columns(location, files, ["split"]):
        marked |= set(table["split"].unique().to_pylist())
    missing = tuple(split for split in _EVALUATION if split not in marked)
    if missing and manifest.payload.views and manifest.instances > manifest.instance_table.rows:
        found = f"images shared by bags of {location.name}, and no bag marked {' or '.join(missing)}"
        raise BadData(found, "bags of other images for it", "build the table from folders train, val and test")
    if config.val_share * len(missing) >= 1.0:
        found = f"data.val_share={config.val_share} for each of {len(missing)} splits"
        raise BadInput(found, "less than all bags", "lower data.val_share")
    if not missing:
        return None
    split = HashSplit(missing, config.val_share, config.bag_seed)
    split = with_both_kinds(split, label, read_columns(location, files, needed_columns(split)))
    moved = f", and {len(split.moved)} moved, so that each has positive and negative bags" if split.moved else ""
    share, sets = f"{100 * config.val_share:g} % of the groups", " or ".join(missing)
    log.info("no bag is marked %s: %s are set aside for each by a hash%s", sets, share, moved)
    return split


def _form(positives: TableSet) -> ClipForm:
    """The form of the clips, with the configured statistics or else those of the positives."""
    config = positives.tables[0].manifest.payload.audio
    statistics = config.given_stats()
    if statistics is None:
        clips = [clip.numpy()[: real_frames(config)] for clip in positives.in_memory or ()]
        values = np.stack(clips).astype(np.float64)
        statistics = float(values.mean()), float(values.std())
    return ClipForm(config.frames, config.mels, *statistics)
