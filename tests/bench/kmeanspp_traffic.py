"""What exact D² sampling asks shards for: rounds, passes, points and bytes, which no clock and no machine changes.

    python -m tests.bench.kmeanspp_traffic [--root FOLDER] [--seeds 2] [--cache FOLDER]

The pools are those of tests.bench.kmeanspp; results go to tests/bench/kmeanspp_traffic.md.
"""

import argparse
import datetime
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from tests.bench import kmeanspp_peers as ways
from tests.bench.kmeanspp_pools import Source

COLUMNS, POINTS, WANTED = (84, 512), (2_000, 10_000, 50_000, 200_000), (100, 1_000, 5_000)


def rows(source: Source, seeds: int) -> Iterator[list[str]]:
    """A row for each pool and number of picks, at most half of the pool: means of `seeds` seedings."""
    backend = ways.backends()["numpy"]
    for columns in COLUMNS:
        for count in POINTS:
            pool = source.pool(count, columns)
            for wanted in WANTED:
                if 2 * wanted > count:
                    continue
                traffic = [ways.seed(backend, ways.Job(pool, wanted, wanted, seed)).traffic for seed in range(seeds)]
                means = [mean(getattr(one, name) for one in traffic) for name in ("rounds", "passes", "points")]
                size = mean(one.size_bytes for one in traffic)
                told = (size - means[2] * (4 * columns + 8)) / (4 * columns * wanted)
                numbers = [f"{columns}", f"{count:,}", f"{wanted:,}", *(f"{value:,.0f}" for value in means)]
                yield [*numbers, f"{means[2] / wanted:.2f}", f"{size / 1e6:.1f}", f"{told:.2f}"]


def main() -> None:
    """Count and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", help="folder of CIFAR-10; without it all pools are made up")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "negsift-bench")
    options = parser.parse_args()
    ways.one_thread()
    options.cache.mkdir(parents=True, exist_ok=True)
    heads = ["d", "N", "k", "rounds", "passes", "points sent", "a pick", "MB sent", "picks told, of all"]
    table = rows(Source(options.root, options.cache, max(POINTS)), options.seeds)
    lines = [
        "# What D² sampling asks shards for", "",
        f"{datetime.date.today()}; `python -m tests.bench.kmeanspp_traffic --root FOLDER`; means of {options.seeds} seedings. The pools are",
        "those of [kmeanspp.md](kmeanspp.md), 84 columns real and 512 made up. Counts are the same on every machine; shards",
        "share the points between them, and each is told the picks of the last column. `negsift plan` reckons with 800 points",
        "and 3.4 a pick.", "",
        f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in table),
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
