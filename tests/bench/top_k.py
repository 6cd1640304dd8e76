"""The k best of up to 1e8 scores on one thread, beside torch.topk, numpy's partition and a bare read.

    python -m tests.bench.top_k

The table goes to top_k.md beside this file.
"""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")})

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from negsift.common.arrays import Floats
from negsift.common.rng import stream_key, uniform_keys
from negsift.deploy.versions import versions
from negsift.service.top_k import top_k
from tests.bench.kmeanspp import cpu_model

COUNTS, WANTED, TIMES = (1_000_000, 10_000_000, 100_000_000), (1_000, 100_000), 3


def scores(kind: str, count: int) -> Floats:
    """Hashes in (0, 1]; the same in 50 steps, so that most are tied; or ascending, where each beats those before."""
    if kind == "ascending":
        return np.arange(count) / count
    found = uniform_keys(stream_key(0, "bench-top-k"), np.arange(count, dtype=np.int64))
    return np.ceil(50.0 * found) if kind == "tied" else found


def ways(score: Floats, k: int) -> dict[str, Callable[[], object]]:
    """What is compared, by the heading of its column."""
    index, tensor = np.arange(len(score), dtype=np.int64), torch.from_numpy(score)
    return {
        "ours": lambda: top_k(index, score, k),
        "torch.topk": lambda: torch.topk(tensor, k),
        "np.argpartition": lambda: np.argpartition(score, len(score) - k),
        "np.max, a read": score.max,
    }


def measure(kind: str, count: int, k: int) -> list[str]:
    """One row: medians of CPU time, in turns."""
    score = scores(kind, count)
    found, times = ways(score, k), {}  # type: ignore[var-annotated]  # lists of seconds
    for _ in range(TIMES):
        for name, way in found.items():
            start = time.process_time()
            way()
            times.setdefault(name, []).append(1e3 * (time.process_time() - start))
    return [kind, f"{count:,}", f"{k:,}", *(f"{median(each):,.1f}" for each in times.values())]


def main() -> None:
    """Measure, then write the table."""
    torch.set_num_threads(1)
    found, heads = versions(), ["scores", "N", "k", *ways(np.zeros(1), 1)]
    rows = [measure(kind, n, k) for kind in ("random", "tied", "ascending") for n in COUNTS for k in WANTED]
    lines = [
        "# The k best of many scores, ties by position: CPU ms on one thread", "",
        f"{datetime.date.today()}, {cpu_model()}, numpy {found['numpy']}, torch {found['torch']}, commit {found['git']};",
        f"`python -m tests.bench.top_k`; medians of {TIMES} in turns. Ours alone is sorted, with ties by position.", "",
        f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows),
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
