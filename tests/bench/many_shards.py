"""256 shards and 1e8 positions, one after the other in one process: an exact merge, its time and its bytes.

    python -m tests.bench.many_shards [--positions 100000000] [--out FILE]

Scores are hashes, made on the fly. The merged answer is compared with the k best of all scores at once.
Results go to tests/bench/many_shards.md.
"""

import argparse
import datetime
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from negsift.common.account import RecoveryCounts
from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Candidates, InstanceFeatures, PoolVersion, Round
from negsift.deploy.versions import versions
from negsift.service.pool.blocks import block_count, share_blocks
from negsift.service.scoring.requests import Fleet, ShardRequest, T, TopK
from negsift.service.scoring.top_k_sample import TopKSample
from negsift.service.selection.distributed_top_k import distributed_top_k
from negsift.service.strategies.random import Random
from negsift.service.top_k import top_k
from tests.bench.kmeanspp import cpu_model

POSITIONS, BLOCK, WANTED, SHARDS = 100_000_000, 64, (1_000, 100_000), (1, 16, 256)
KEY = stream_key(0, "bench-many-shards")


def score(index: Index, steps: int | None) -> Floats:
    """Hashes in (0, 1]; with `steps`, so many values only, and so a great many ties."""
    found = uniform_keys(KEY, index)
    return found if steps is None else np.ceil(found * steps)


class Simulated(Fleet):
    """Shards whose best k are found already; `sent` bytes."""

    def __init__(self, best: Sequence[Candidates]) -> None:
        self._best, self.sent, self.asked = best, 0, 0
        self.shards, self.version, self.recovery = len(best), 0, RecoveryCounts()

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """Every shard's sample."""
        assert isinstance(request, TopK)
        found: list[TopKSample] = [request.request.of(best) for best in self._best]
        self.sent += sum(each.rows.index.nbytes + each.rows.score.nbytes + each.weight.nbytes for each in found)
        self.asked += 1
        return found

    def share_features(self, features: InstanceFeatures) -> None:
        """There are no instances."""


def answers(positions: int, shards: int, k: int, steps: int | None, spent: list[float]) -> Iterator[Candidates]:
    """Each shard's best k; the seconds each one spends on finding them go to `spent`."""
    for blocks in share_blocks(block_count(positions, BLOCK), shards):
        index = np.arange(blocks.start * BLOCK, min(blocks.stop * BLOCK, positions), dtype=np.int64)
        scores, start = score(index, steps), time.perf_counter()
        rows = top_k(index, scores, k)
        spent.append(time.perf_counter() - start)
        yield Candidates(index[rows], scores[rows], len(index))


def measure(shards: int, k: int, steps: int | None, whole: Candidates) -> list[str]:
    """One row of the table."""
    spent: list[float] = []
    fleet = Simulated(list(answers(whole.seen, shards, k, steps, spent)))
    start = time.perf_counter()
    merged = distributed_top_k(fleet, Random(), {}, Round(0, 0, k, PoolVersion(0, whole.seen))).candidates
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--positions", type=int, default=POSITIONS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    positions = options.positions
    rows = []
    for steps in (None, 50):
        index = np.arange(positions, dtype=np.int64)
        scores = score(index, steps)
        for k in WANTED:
            best = top_k(index, scores, k)
            whole = Candidates(index[best], scores[best], positions)
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
        f"# {positions:.0e} positions on up to 256 shards".replace("+0", ""), "",
        f"{datetime.date.today()}, {cpu_model()}, {versions()['machine']}, commit {versions()['git']};",
        "`python -m tests.bench.many_shards`", "",
        "Simulated one shard after the other; making the scores is not timed, sending them is not simulated.", "",
        f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows),
    ]  # fmt: skip
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
