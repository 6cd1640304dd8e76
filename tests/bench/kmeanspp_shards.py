"""k-means++ seeding on four Ray shards: ours against one round of messages a centre, by the clock on the wall.

    python -m tests.bench.kmeanspp_shards [--root FOLDER] [--cache FOLDER]

FOLDER holds CIFAR-10; without it the pool is made up. The table goes to kmeanspp_shards.md beside this file.
"""

import argparse
import datetime
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import ray

from negsift.deploy.versions import versions
from negsift.service.cluster.connect import connect
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.hashed_times import exponentials
from negsift.service.kmeanspp.points import Points, Steps
from negsift.service.kmeanspp.queries import Answer, PointQuery
from negsift.service.kmeanspp.seeding import Seeding, SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from tests.bench.kmeanspp import cpu_model
from tests.bench.kmeanspp_pools import Source

SHARDS, TIMES, CENTRES = 4, 5, 40
CELLS = ((200_000, 84, 1_000), (200_000, 84, 5_000), (200_000, 512, 1_000), (1_000_000, 84, 1_000))


class Holder:
    """One shard, for either way."""

    def __init__(self, rows: Steps, first: int) -> None:
        self._points = Points(np.arange(first, first + len(rows), dtype=np.int64), (rows,))
        self._rows = ShardRows(self._points)
        self._squares = np.einsum("nd,nd->n", rows, rows)

    def ask(self, query: PointQuery[Answer]) -> Answer:
        """The answer of this shard."""
        return query.answer(self._rows)

    def begin(self) -> tuple[float, Steps]:
        """The longest point's squared norm, negative, and the point."""
        self._nearest = np.full(len(self._squares), np.inf, dtype=np.float32)
        row = int(self._squares.argmax())
        return -float(self._squares[row]), self._points.factors[0][row]

    def step(self, key: int, centre: Steps) -> tuple[float, Steps]:
        """Lower D² by one centre; the first arrival of a fresh phase, its time and its point."""
        rows = self._points.factors[0]
        gaps = self._squares - 2.0 * (rows @ centre) + centre @ centre
        np.minimum(self._nearest, np.maximum(gaps, 0.0), out=self._nearest)
        wait = exponentials(key, self._points.index, np.zeros(len(rows), dtype=np.int64))
        with np.errstate(divide="ignore"):
            times = wait / self._nearest
        row = int(times.argmin())
        return float(times[row]), rows[row]


@dataclass(frozen=True)
class RayPool:
    """The shards together."""

    holders: Sequence[Any]  # Any: actor handles
    restarts: int = 0

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answers of all shards."""
        sent = ray.put(query)
        answers: Sequence[Answer] = ray.get([holder.ask.remote(sent) for holder in self.holders])
        return answers

    def one_round_a_centre(self, count: int, seed: int) -> float:
        """Seconds a centre of the plain way, the first left out."""
        _, centre = min(ray.get([holder.begin.remote() for holder in self.holders]), key=lambda found: found[0])
        start = time.perf_counter()
        for key in range(seed * count, (seed + 1) * count):
            found = ray.get([holder.step.remote(key, centre) for holder in self.holders])
            _, centre = min(found, key=lambda each: each[0])
        return (time.perf_counter() - start) / count


def measure(source: Source, count: int, columns: int, wanted: int) -> list[str]:
    """One row of the table; ours and the plain way in turns."""
    parts = np.array_split(source.pool(count, columns), SHARDS)
    firsts = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    holder = ray.remote(num_cpus=0)(Holder)
    pool = RayPool([holder.remote(part, first) for part, first in zip(parts, firsts, strict=True)])
    d2_sample(pool, SeedingSpec(wanted, 0, 0))  # compiles
    ours, plain, drawn = [], [], []
    for seed in range(TIMES):
        start = time.perf_counter()
        drawn.append(d2_sample(pool, SeedingSpec(wanted, seed, 0)))
        ours.append(time.perf_counter() - start)
        plain.append(pool.one_round_a_centre(CENTRES, seed))
    for each in pool.holders:
        ray.kill(each)
    return row(source.kind(columns), (count, columns, wanted), drawn, (median(ours), wanted * median(plain)))


def row(kind: str, cell: tuple[int, int, int], drawn: Sequence[Seeding], seconds: tuple[float, float]) -> list[str]:
    """The figures as text."""
    traffic = [each.traffic for each in drawn]
    rounds, sizes = [each.rounds for each in traffic], [each.size_bytes / 1e6 for each in traffic]
    return [
        kind, *(f"{number:,}" for number in cell), f"{min(rounds)}–{max(rounds)}",
        f"{median(each.points for each in traffic):,.0f}", f"{median(sizes):.1f}", f"{median(sizes) / median(rounds):.2f}",
        f"{seconds[0]:.2f}", f"{seconds[1]:,.0f}", f"{seconds[1] / seconds[0]:,.0f}",
    ]  # fmt: skip


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder of CIFAR-10; without it the pools are made up")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "negsift-bench")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    connect()
    source, found = Source(given.root, given.cache, 1_000_000), versions()
    heads = [
        "pool",
        "N",
        "d",
        "k",
        "rounds",
        "points sent",
        "MB sent",
        "MB a round",
        "ours, s",
        "plain, s",
        "plain / ours",
    ]
    lines = [
        "# k-means++ seeding on four Ray shards", "",
        f"{datetime.date.today()}, {cpu_model()}, {found['machine']}, ray {found['ray']}, commit {found['git']};",
        f"`python -m tests.bench.kmeanspp_shards{' --root FOLDER' * bool(given.root)}`", "",
        f"Four scorer processes. Wall time, ours and the plain way in turns, medians of {TIMES}. The plain way, exact as well,",
        f"asks every shard once a centre; {CENTRES} centres of it were timed and scaled to k. Norms are timed, the first"
        " centre is not.",
        "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|",
    ]  # fmt: skip
    lines += [f"| {' | '.join(measure(source, *cell))} |" for cell in CELLS]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
