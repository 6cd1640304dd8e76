"""A bag table as training data: positives, pool, validation and test bags of one target, by its column `split`."""

import dataclasses

import numpy as np

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.logmel import real_frames
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split, class_number
from negsift.common.data.table.bag_filter import BagFilter, HeldOut
from negsift.common.data.table.bags import open_each
from negsift.common.data.table.check import check_files
from negsift.common.data.table.labelled import TableSet
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.survey import small_columns
from negsift.common.errors import BadData, BadInput

_HELD_OUT = ("val", "test")


def load(config: DataConfig) -> Split:
    """The sets of the table in `data.root`, as of version `data.version`.

    Where it marks no bags for validation, or none for the test, `data.val_share` of the others are set aside for it,
    whole groups. Only positives are held in memory. Raises BadInput without a table, UnknownName for a
    label, BadData where a kind of bag is missing.
    """
    if config.root is None:
        raise BadInput("no data.root", "the folder or URI of a bag table", "add --set data.root=FOLDER")
    where = Location.of(config.root)
    manifest = read_manifest(where, config.version)
    if not manifest.classes:
        raise BadData(f"no label in {where.name}", "bags that are positive for one", "build it with labels")
    target = class_number(config.target, manifest.classes)
    label, aside = manifest.classes[target], _aside(where, manifest, config)
    kinds = [(part, positive) for part in ("train", *_HELD_OUT) for positive in (False, True)]
    wanted = [BagFilter(label, positive, part, aside) for part, positive in kinds]
    found = dict(zip(kinds, open_each(where, wanted, manifest.version), strict=True))
    positives = TableSet.of(f"train-class{target}", positive=found["train", True]).loaded()
    pool = TableSet.of(f"train-class{target}", negative=found["train", False])
    val, test = (
        TableSet.of(f"{part}-class{target}", negative=found[part, False], positive=found[part, True])
        for part in _HELD_OUT
    )
    form = _form(positives) if manifest.payload.sound else None
    return Split(*(dataclasses.replace(each, form=form) for each in (positives, pool, val, test)))


def _aside(where: Location, manifest: Manifest, config: DataConfig) -> HeldOut | None:
    """What is set aside for parts that no bag is marked for."""
    files, marked = check_files(where, manifest.files, manifest.payload), set[str | None]()
    for table in small_columns(where, files, ["split"]):
        marked |= set(table["split"].unique().to_pylist())
    missing = tuple(part for part in _HELD_OUT if part not in marked)
    if missing and manifest.payload.views and manifest.instances > manifest.viewed.rows:
        told = f"images in several bags of {where.name}, and none marked {' or '.join(missing)}"
        raise BadData(told, "bags of other images for that", "build the table of folders train, val and test")
    if config.val_share * len(missing) >= 1.0:
        raise BadInput(
            f"data.val_share={config.val_share} for {len(missing)} parts",
            "less than all bags",
            "lower --set data.val_share",
        )
    return HeldOut(missing, config.val_share, config.bag_seed) if missing else None


def _form(positives: TableSet) -> ClipForm:
    """The form of a table's clips, with statistics as given for its parameters, or of the positives."""
    config = positives.tables[0].manifest.payload.audio
    given = config.given_stats()
    if given is None:
        values = np.stack([clip.numpy()[: real_frames(config)] for clip in positives.held or ()]).astype(np.float64)
        given = float(values.mean()), float(values.std())
    return ClipForm(config.frames, config.mels, *given)
