"""Pictures of chosen bags: the hardest and the easiest of a run's last selection."""

import base64
import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.bagset import BagSet
from negsift.common.data.split import Split
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadData, BadInput
from negsift.common.protocols import Bags
from negsift.trainer.report.comparison import Comparison, RunGroup
from negsift.trainer.report.runs import ReportedRun
from negsift.trainer.report.selections import ChosenBags, read_bag_ids, read_selection, scored_epochs, selected_epochs
from negsift.trainer.report.spectrogram import CLIP_HEIGHT, CLIP_WIDTH, picture_clip

BagLookup = Callable[[ReportedRun], Split]

SHOWN = 6
MOST_INSTANCES = 8
LARGEST, HEIGHT = 96, 64

_Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Strip:
    """One bag as a picture, of its instances side by side, or of a clip's spectrogram; sizes are in CSS pixels.

    `source` is a data URI, and so is `sound`, "" where there is nothing to hear.
    """

    source: str
    width: int
    height: int
    bag_id: str
    score: str
    told: str
    sound: str = ""


@dataclass(frozen=True)
class PictureStore:
    """Some bags of one group under a caption."""

    label: str
    caption: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Pictures:
    """The shelves of a comparison, or in `reason` why there are none."""

    shelves: tuple[PictureStore, ...] = ()
    reason: str = ""


def show_bags(comparison: Comparison, lookup: BagLookup | None) -> Pictures:
    """The hardest and easiest bags chosen last by one run a group."""
    if lookup is None:
        return Pictures(reason="No pictures: the report was written without access to the data.")
    try:
        pool = lookup(comparison.groups[0].shown).pool
        shelves = [shelf for group in comparison.groups for shelf in _shelves(group, pool)]
    except (BadInput, OSError) as error:
        return Pictures(reason=f"No pictures: {error}.")
    return Pictures(tuple(shelves), "" if shelves else "No pictures: no selection was made yet.")


def _shelves(group: RunGroup, pool: Bags) -> list[PictureStore]:
    scored = scored_epochs(group.shown)
    made = scored or selected_epochs(group.shown)
    if not made:
        return []
    chosen = read_selection(group.shown, made[-1])
    strips = _strips(chosen, pool, group.shown)
    where = f"epoch {chosen.epoch} of {group.shown.name}"
    if not scored:
        plain = tuple(dataclasses.replace(strip, score="") for strip in strips[:SHOWN])
        return [PictureStore(group.label, f"picked without scores, {where}", plain)]
    shelves = [(f"best ranked, {where}", strips[:SHOWN]), (f"last ranked, {where}", strips[SHOWN:])]
    return [PictureStore(group.label, caption, part) for caption, part in shelves if part]


def _strips(chosen: ChosenBags, pool: Bags, run: ReportedRun) -> tuple[Strip, ...]:
    """The first and the last SHOWN bags; BadData if the data holds others than those picked."""
    count = len(chosen.index)
    ranks = [*range(min(SHOWN, count)), *range(max(SHOWN, count - SHOWN), count)]
    names = read_bag_ids(run, chosen.epoch)
    inside = chosen.index.max(initial=-1) < len(pool)
    if not inside or pool.bag_id(chosen.index[ranks]) != [names[rank] for rank in ranks]:
        remedy = "point data.root at what the run was trained on"
        raise BadData(f"other bags in the data than {run.name} picked", "the run's own bags", remedy)
    return tuple(_strip(chosen, pool, rank, names[rank]) for rank in ranks)


def _strip(chosen: ChosenBags, pool: Bags, rank: int, bag_id: str) -> Strip:
    if isinstance(pool, ClipSet):
        clip, score = picture_clip(pool, int(chosen.index[rank])), f"{chosen.score[rank]:.4g}"
        return Strip(_data_uri(clip.pixels), CLIP_WIDTH, CLIP_HEIGHT, bag_id, score, clip.told, clip.sound)
    images, names = _images(pool, int(chosen.index[rank]))
    pixels = _side_by_side([_picture(image) for image in images[:MOST_INSTANCES]])
    scale = max(1, round(HEIGHT / pixels.shape[0]))
    more = f", first {MOST_INSTANCES} of {len(images)}" if len(images) > MOST_INSTANCES else ""
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return Strip(_data_uri(pixels), *size, bag_id, f"{chosen.score[rank]:.4g}{more}", names)


def _images(pool: Bags, position: int) -> tuple[_Pixels, str]:
    """A bag's images (n, C, H, W), and the names of their classes where these are known."""
    if isinstance(pool, BagSet):
        table, rows = pool.instances, pool.rows_of(np.array([position]))
        return table.images[rows], ", ".join(table.classes[table.labels[row]] for row in rows)
    assert isinstance(pool, TableSet)  # there is no other kind
    return pool[position][0].numpy(), ""


def _picture(image: _Pixels) -> _Pixels:
    """An instance (C, H, W) as RGBA (h, w, 4), no larger than LARGEST; other than 3 channels become grey."""
    if image.ndim != 3:
        raise BadData(f"instances of shape {image.shape}", "images (C, H, W)", "they are left out")
    colour = image if len(image) == 3 else np.repeat(image.mean(0, keepdims=True).astype(np.uint8), 3, axis=0)
    picture = Image.fromarray(np.ascontiguousarray(colour.transpose(1, 2, 0))).convert("RGBA")
    picture.thumbnail((LARGEST, LARGEST))
    return np.asarray(picture)


def _side_by_side(pictures: Sequence[_Pixels]) -> _Pixels:
    height, width = pictures[0].shape[:2]
    gap = np.zeros((height, max(1, width // 16), 4), dtype=np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _data_uri(pixels: _Pixels) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
