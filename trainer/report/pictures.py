"""Pictures of the bags that a run's last selection ranked first and last."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.bagset import BagSet
from negsift.common.data.protocols import LabelledBags
from negsift.common.data.split import Split
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadData, BadInput
from negsift.trainer.report.selections import ChosenBags, read_selection, scored_epochs, selected_epochs
from negsift.trainer.report.spectrogram import CLIP_HEIGHT, CLIP_WIDTH, data_uri, picture_clip
from negsift.trainer.results.groups import Comparison, RunGroup
from negsift.trainer.results.runs import ReportedRun

BagLookup = Callable[[ReportedRun], Split]

SHOWN = 6
MOST_INSTANCES = 8
LARGEST, HEIGHT = 96, 64

_Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class BagPicture:
    """A picture of one bag: its instances side by side, or a clip's spectrogram; sizes are in CSS pixels.

    `source` is a data URI, and so is `sound`, which is "" for others; a `note` stands below it.
    """

    source: str
    width: int
    height: int
    bag_id: str
    score: str
    description: str
    note: str = ""
    sound: str = ""


@dataclass(frozen=True)
class PictureRow:
    """Some bags of one group under a caption."""

    label: str
    caption: str
    bags: tuple[BagPicture, ...]


@dataclass(frozen=True)
class BagPictures:
    """The pictures of a comparison, and of the `suspects` among its bags, or the `reason` why there are none."""

    rows: tuple[PictureRow, ...] = ()
    suspects: tuple[BagPicture, ...] = ()
    reason: str = ""


def show_bags(comparison: Comparison, lookup: BagLookup | None, suspects: ChosenBags | None = None) -> BagPictures:
    """The first and the last ranked bags of the last selection, of one run for each group, and the suspects."""
    if lookup is None:
        return BagPictures(reason="No pictures: the report was written without access to the data.")
    try:
        pool = lookup(comparison.groups[0].shown).pool
        rows = [row for group in comparison.groups for row in _rows(group, pool)]
        name = comparison.groups[0].shown.name
        suspected = () if suspects is None else _pictures(suspects, pool, range(len(suspects.index)), name)
    except (BadInput, OSError) as error:
        return BagPictures(reason=f"No pictures: {error}.")
    return BagPictures(tuple(rows), suspected, "" if rows else "No pictures: no selection was made yet.")


def _rows(group: RunGroup, pool: LabelledBags) -> list[PictureRow]:
    scored = scored_epochs(group.shown)
    epochs = scored or selected_epochs(group.shown)
    if not epochs:
        return []
    chosen = read_selection(group.shown, epochs[-1])
    bags = _pictures(chosen, pool, _ends(len(chosen.index)), group.shown.name)
    origin = f"epoch {chosen.epoch} of {group.shown.name}"
    if not scored:
        unscored = tuple(replace(bag, score="") for bag in bags[:SHOWN])
        return [PictureRow(group.label, f"picked without scores, {origin}", unscored)]
    parts = [(f"ranked first, {origin}", bags[:SHOWN]), (f"ranked last, {origin}", bags[SHOWN:])]
    return [PictureRow(group.label, caption, part) for caption, part in parts if part]


def _ends(count: int) -> Sequence[int]:
    """The first and the last SHOWN of so many ranks."""
    return [*range(min(SHOWN, count)), *range(max(SHOWN, count - SHOWN), count)]


def _pictures(chosen: ChosenBags, pool: LabelledBags, ranks: Sequence[int], run: str) -> tuple[BagPicture, ...]:
    """The bags at some ranks. Raises BadData if the data has other bags than those that the `run` picked."""
    inside = chosen.index.max(initial=-1) < len(pool)
    if not inside or pool.bag_id(chosen.index[list(ranks)]) != [chosen.bag_id[rank] for rank in ranks]:
        remedy = "set data.root to the data that the run was trained on"
        raise BadData(f"other bags in the data than those that {run} picked", "the run's bags", remedy)
    return tuple(_picture(chosen, pool, rank) for rank in ranks)


def _picture(chosen: ChosenBags, pool: LabelledBags, rank: int) -> BagPicture:
    position, bag_id, score = int(chosen.index[rank]), chosen.bag_id[rank], f"{chosen.score[rank]:.4g}"
    if isinstance(pool, ClipSet):
        clip = picture_clip(pool, position)
        return BagPicture(png(clip.pixels), CLIP_WIDTH, CLIP_HEIGHT, bag_id, score, clip.tags, sound=clip.sound)
    images, names = _images(pool, position)
    pixels = _side_by_side([_thumbnail(image) for image in images[:MOST_INSTANCES]])
    scale = max(1, round(HEIGHT / pixels.shape[0]))
    more = f", first {MOST_INSTANCES} of {len(images)}" if len(images) > MOST_INSTANCES else ""
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return BagPicture(png(pixels), *size, bag_id, f"{score}{more}", names)


def _images(pool: LabelledBags, position: int) -> tuple[_Pixels, str]:
    """A bag's images (n, C, H, W), and the names of their classes if known."""
    if isinstance(pool, BagSet):
        table, rows = pool.instances, pool.rows_of(np.array([position]))
        return table.images[rows], ", ".join(table.classes[table.labels[row]] for row in rows)
    assert isinstance(pool, TableSet)  # the only other kind of images
    return pool[position][0].numpy(), ""


def _thumbnail(image: _Pixels) -> _Pixels:
    """An instance (C, H, W) as RGBA (h, w, 4), at most LARGEST wide and high; grey unless it has 3 channels."""
    if image.ndim != 3:
        raise BadData(f"instances of shape {image.shape}", "images (C, H, W)", "other instances are not shown")
    colour = image if len(image) == 3 else np.repeat(image.mean(0, keepdims=True).astype(np.uint8), 3, axis=0)
    thumbnail = Image.fromarray(np.ascontiguousarray(colour.transpose(1, 2, 0))).convert("RGBA")
    thumbnail.thumbnail((LARGEST, LARGEST))
    return np.asarray(thumbnail)


def _side_by_side(pictures: Sequence[_Pixels]) -> _Pixels:
    height, width = pictures[0].shape[:2]
    gap = np.zeros((height, max(1, width // 16), 4), dtype=np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def png(pixels: NDArray[np.uint8]) -> str:
    """RGBA pixels (height, width, 4) as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return data_uri("image/png", stream)
