"""Where instances lie, as in a slide: maps of some test bags, coloured by what the model says of each instance."""

import math
import os
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from negsift.common.arrays import Floats
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.trainer.instances import PLACES
from negsift.trainer.report.pictures import BagPicture, PictureRow, png
from negsift.trainer.results.groups import Comparison
from negsift.trainer.results.runs import ReportedRun

_SIDE, _SQUARE, _DARKEST = 300, 24, 0.15
"""Pixels of the longer side, which fit a narrow page, and of a square at most; the share of the colours left out, which
are hard to see on a dark page.
"""
_FRAME = (213, 94, 0, 255)
"""The colour around the most positive instance."""
_FORM = {
    "bag_id": pa.string(), "score": pa.float64(), "x": pa.list_(pa.float64()), "y": pa.list_(pa.float64()),
    "instance_score": pa.list_(pa.float64()),
}  # fmt: skip


def show_places(comparison: Comparison) -> list[PictureRow]:
    """A row of maps for one run of each group that has some. Raises BadData for a damaged file."""
    runs = [(group.label, group.shown) for group in comparison.groups]
    rows = [PictureRow(label, f"test bags of {run.name}{_measured(run)}", _maps(run)) for label, run in runs]
    return [row for row in rows if row.bags]


def _measured(run: ReportedRun) -> str:
    """How well the scores of instances match their labels, where there are some."""
    bags, ap, roc_auc = (run.result(f"instances.{name}") for name in ("bags", "ap", "roc_auc"))
    if np.isnan(bags):
        return ""
    return f"; instances of {bags:,.0f} test bags with labels of instances: AP {ap:.4f}, ROC-AUC {roc_auc:.4f}"


def _maps(run: ReportedRun) -> tuple[BagPicture, ...]:
    path = run.path / PLACES
    if not os.path.lexists(path):
        return ()
    return tuple(_map(row["bag_id"], row["score"], *_columns(row, path)) for row in _read(path).to_pylist())


def _map(bag_id: str, score: float, x: Floats, y: Floats, scores: Floats) -> BagPicture:
    pixels, best = draw_map(x, y, scores), int(np.argmax(scores))
    text = f"the most positive of {len(scores):,} instances lies at x\u00a0{x[best]:.10g}, y\u00a0{y[best]:.10g}"
    return BagPicture(png(pixels), pixels.shape[1], pixels.shape[0], bag_id, f"{score:.4g}", text, text)


def draw_map(x: Floats, y: Floats, scores: Floats) -> NDArray[np.uint8]:
    """RGBA pixels (height, width, 4) with a square for each place, the brighter the larger the largest score there; y
    grows downwards, as in images. The most positive instance is framed.
    """
    step = _step(x, y)
    # Not rounded: halves would go to even numbers, and columns merged in pairs would be uneven.
    column, row = (np.floor((values - values.min()) / step + 0.49).astype(np.int64) for values in (x, y))
    grid = np.full((row.max() + 1, column.max() + 1), -np.inf)
    np.maximum.at(grid, (row, column), scores)
    low, high = np.percentile(scores, (5, 99.5))
    shares = np.clip((grid - low) / max(float(high - low), 1e-9), 0, 1)
    colours = _DARKEST + (1 - _DARKEST) * shares
    pixels: NDArray[np.uint8] = matplotlib.colormaps["viridis"](colours, bytes=True)
    pixels[np.isneginf(grid)] = 0
    size = min(_SQUARE, _SIDE // max(grid.shape))
    pixels, best = pixels.repeat(size, 0).repeat(size, 1), int(np.argmax(scores))
    padded = np.pad(pixels, ((3, 3), (3, 3), (0, 0)))
    top, left = int(row[best]) * size, int(column[best]) * size
    padded[top : top + size + 6, left : left + size + 6][_frame(size + 6)] = _FRAME
    return padded


def _frame(side: int) -> NDArray[np.bool_]:
    frame = np.ones((side, side), dtype=bool)
    frame[3:-3, 3:-3] = False
    return frame


def _step(x: Floats, y: Floats) -> float:
    """The side of a square: the distance of neighbours in a grid, or a multiple of it where the map would be too large,
    or squares too small for the distances between them.
    """
    wide, high = float(np.ptp(x)), float(np.ptp(y))
    least = max(max(wide, high) / (_SIDE - 1), math.sqrt(wide * high / len(x)) / 4)
    grid = max(_gap(x), _gap(y), float(np.finfo(np.float32).tiny))
    return grid * max(1, math.ceil(least / grid))


def _gap(values: Floats) -> float:
    gaps = np.diff(np.unique(values))
    return float(gaps.min()) if len(gaps) else 0.0


def _read(path: Path) -> pa.Table:
    try:
        table = pq.ParquetFile(regular(path)).read(columns=list(_FORM))
    except (pa.ArrowException, OSError) as error:
        raise _fault(path, str(error).partition("\n")[0]) from None
    found = dict(zip(table.schema.names, table.schema.types, strict=True))
    if any(not found.get(name, pa.null()).equals(kind) or table[name].null_count for name, kind in _FORM.items()):
        raise _fault(path, f"columns {found}")
    return table


def _columns(row: dict[str, list[float]], path: Path) -> tuple[Floats, Floats, Floats]:
    x, y, scores = (np.array(row[name], dtype=np.float64) for name in ("x", "y", "instance_score"))
    if not (len(x) == len(y) == len(scores) > 0 and all(np.isfinite(values).all() for values in (x, y, scores))):
        raise _fault(path, f"places of bag {row['bag_id']!r:.60} that are not numbers, one for each instance")
    return x, y, scores


def _fault(path: Path, found: str) -> BadData:
    return BadData(f"{path}: {found:.200}", "places as a run writes them", "delete that file")
