"""Seeding k-means++ beside FAISS's two, turn by turn, in the cells where time matters most: CPU time of one thread.

    python -m tests.bench.kmeanspp_paired --root FOLDER [--turns 5] [--cache FOLDER]

The pools are those of tests.bench.kmeanspp; results go to tests/bench/kmeanspp_paired.md.
"""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")})

import argparse
import datetime
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from negsift.deploy.versions import versions
from tests.bench import kmeanspp_peers as ways
from tests.bench.kmeanspp import cpu_model
from tests.bench.kmeanspp_peers import Job
from tests.bench.kmeanspp_pools import Source

CELLS = {(84, 1_000_000, 100): "≤ 1.2 × AFK-MC²", (84, 10_000, 1_000): "≥ 15 ×", (84, 10_000, 5_000): "≥ 10 ×",
         (84, 1_000_000, 1_000): "≥ 400 ×", (512, 1_000_000, 5_000): "≥ 1,000 ×"}  # fmt: skip
BLOCK, MOST_PRODUCTS = 512, 1 << 33
NAMES = ("ours, numba", "FAISS k-means++", "FAISS AFK-MC²")
NOTE = (
    "To reach is said of FAISS k-means++ unless it names AFK-MC². First rates come from sketches along three directions",
    "(`service/kmeanspp/sketch.py`) instead of from norms: at 1,000,000 x 84, k = 100 about 1,000 points arrive, not 12,800.",
    "Before, the cells took 55.5, 23.7, 99.6, 129.8 and 1,509 ms (2026-11-28, the same machine). What is left at k = 100",
    "is the one read of the pool, which takes 19 ms alone (11 ms without sketches), and single numbers a point, read and",
    "written again for each phase, some 10 ms where others use the memory. At N = 10,000 it is the fixed cost of some ten",
    "rounds in numpy. A pass pruned by sketches was tried for small pools and was slower than BLAS.",
    "*Products alone* is what BLAS takes for the products of all points with all picks, from which distances are made:",
    "to reach 15 and 10 times FAISS there would be a time below it.",
)
log = logging.getLogger(__name__)


def measure(source: Source, cell: tuple[int, int, int], turns: int) -> list[str]:
    """One row: median ms of each way, and the median of the turns' ratios to ours; * where scaled from a part."""
    columns, count, wanted = cell
    rows = source.pool(count, columns)
    job, found = Job(rows, wanted, wanted), ways.seedings()
    run = {name: found[name].planned(job) for name in NAMES}
    found[NAMES[0]].find(job)  # which compiles
    seconds = {name: list[float]() for name, planned in run.items() if planned}
    for turn in range(turns):
        for name in seconds:
            seconds[name].append(found[name].seconds(replace(job, count=run[name] or wanted, seed=turn)))
    ours, cells = (
        seconds[NAMES[0]],
        [f"{columns}", f"{count:,}", f"{wanted:,}", f"{1e3 * median(seconds[NAMES[0]]):,.1f}"],
    )
    for name in NAMES[1:]:
        times = seconds.get(name, [])
        ratio = f"{median(peer / own for peer, own in zip(times, ours, strict=True)):.3g}" if times else "–"
        cells += [f"{1e3 * median(times):,.0f}{'*' * (run[name] != wanted)}" if times else "–", ratio]
    products = [_all_products(rows, wanted) for _ in range(turns)] if count * wanted * columns < MOST_PRODUCTS else []
    cells.append(f"{1e3 * median(products):,.0f}" if products else "–")
    log.info("%s", cells)
    return [*cells, CELLS[cell]]


def _all_products(rows: NDArray[np.float32], wanted: int) -> float:
    """The CPU seconds of BLAS for the products of all rows with as many of them as are picked, and of nothing else."""
    picks, out = rows[:wanted].T.copy(), np.empty((BLOCK, wanted), np.float32)
    start = time.process_time()
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        np.matmul(block, picks, out=out[: len(block)])
    return time.process_time() - start


def main() -> None:
    """Measure the cells and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", help="folder of CIFAR-10; without it all pools are made up")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "negsift-bench")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    ways.one_thread()
    options.cache.mkdir(parents=True, exist_ok=True)
    source = Source(options.root, options.cache, 1_000_000)
    heads = [
        "d",
        "N",
        "k",
        "ours, ms",
        "FAISS k-means++, ms",
        "/ ours",
        "AFK-MC², ms",
        "/ ours",
        "products alone, ms",
        "to reach",
    ]
    table = [measure(source, cell, options.turns) for cell in CELLS]
    lines = [
        "# Seeding k-means++ beside FAISS, in pairs", "",
        f"{datetime.date.today()}, {cpu_model()}, {versions()['machine']}; one thread, CPU time, {options.turns} turns, on a machine",
        "that other work kept busy; `python -m tests.bench.kmeanspp_paired --root FOLDER`. * is scaled from a part.", "",
        f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in table), "", *NOTE,
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
