"""256 shards and 1e8 positions, one after the other in one process: an exact merge, its time and its bytes.

    python -m tests.bench.many_shards

Scores are hashes, made on the fly. The merged answer is compared with the k best of all scores at once.
Results go to tests/bench/many_shards.md.
"""

import datetime
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Candidates, Round
from negsift.deploy.versions import versions
from negsift.service.pool.blocks import block_count, share_blocks
from negsift.service.selection.distributed_top_k import TopKSample, distributed_top_k
from negsift.service.strategies.random import Random
from negsift.service.top_k import top_k
from tests.bench.kmeanspp import cpu_model

POSITIONS, BLOCK, WANTED, SHARDS = 100_000_000, 64, (1_000, 100_000), (1, 16, 256)
KEY = stream_key(0, "bench-many-shards")


def score(index: Index, steps: int | None) -> Floats:
    """Hashes in (0, 1]; with `steps`, so many values only, and so a great many ties."""
    found = uniform_keys(KEY, index)
    return found if steps is None else np.ceil(found * steps)


class Simulated:
    """Shards whose best k are found already; `sent` bytes."""

    def __init__(self, best: Sequence[Candidates]) -> None:
        self._best, self.shards, self.sent, self.asked = best, len(best), 0, 0

    def ask(
        self, method: str, published: Any, *given: Any
    ) -> Sequence[TopKSample]:  # Any: nothing of interest but the last
        """Every shard's portion."""
        found = [given[-1].of(best) for best in self._best]
        self.sent += sum(each.rows.index.nbytes + each.rows.score.nbytes + each.weight.nbytes for each in found)
        self.asked += 1
        return found


def answers(shards: int, k: int, steps: int | None, spent: list[float]) -> Iterator[Candidates]:
    """Each shard's best k; the seconds each one spends on finding them go to `spent`."""
    for blocks in share_blocks(block_count(POSITIONS, BLOCK), shards):
        index = np.arange(blocks.start * BLOCK, min(blocks.stop * BLOCK, POSITIONS), dtype=np.int64)
        scores, start = score(index, steps), time.perf_counter()
        rows = top_k(index, scores, k)
        spent.append(time.perf_counter() - start)
        yield Candidates(index[rows], scores[rows], len(index))


def measure(shards: int, k: int, steps: int | None, whole: Candidates) -> list[str]:
    """One row of the table."""
    spent: list[float] = []
    fleet = Simulated(list(answers(shards, k, steps, spent)))
    start = time.perf_counter()
    merged = distributed_top_k(fleet, None, (Random(), {}), Round("", 0, 0, k)).candidates  # type: ignore[arg-type]  # a fleet
    merging = time.perf_counter() - start
    same = np.array_equal(merged.index, whole.index) and np.array_equal(merged.score, whole.score)
    kind = "distinct" if steps is None else f"{steps} values"
    found = [
        f"{1e3 * median(spent):,.1f}",
        f"{1e3 * merging:,.1f}",
        f"{fleet.sent / 1e6:,.1f}",
        str(fleet.asked),
        "yes" if same else "NO",
    ]
    return [kind, f"{k:,}", str(shards), *found]


def main() -> None:
    """Measure, then write the table."""
    rows = []
    for steps in (None, 50):
        index = np.arange(POSITIONS, dtype=np.int64)
        scores = score(index, steps)
        for k in WANTED:
            best = top_k(index, scores, k)
            whole = Candidates(index[best], scores[best], POSITIONS)
            rows += [measure(shards, k, steps, whole) for shards in SHARDS]
    heads = [
        "scores",
        "k",
        "shards",
        "a shard's top-k, ms",
        "merge, ms",
        "MB to the coordinator",
        "questions",
        "the same picks",
    ]
    lines = [
        "# 1e8 positions on up to 256 shards", "",
        f"{datetime.date.today()}, {cpu_model()}, {versions()['machine']}, commit {versions()['git']};",
        "`python -m tests.bench.many_shards`", "",
        "Simulated one shard after the other; making the scores is not timed, sending them is not simulated.", "",
        f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows),
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
