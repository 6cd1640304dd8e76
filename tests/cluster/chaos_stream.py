"""A stream of rounds on Ray or in the shared service, each compared with what one local shard selects."""

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import vector_model

K, SEED, BAGS, SCORERS, VERSIONS, CALL_S = 40, 5, 27000, 4, 3, 5.0
OPTIONS = FleetConfig(
    block=64, cache_mb=0, held_mb=0, cpus_per_shard=1.0, deadline_s=240.0, start_s=240.0, call_s=CALL_S, shards=SCORERS
)
RUNS: dict[str, tuple[str, RoundPolicy]] = {
    "entropy": ("entropy", RoundPolicy()),
    "badge": ("badge", RoundPolicy()),
    "svm_margin": ("svm_margin", RoundPolicy()),
    "random": ("random", RoundPolicy()),
    "entropy with rescore": ("entropy", RoundPolicy(rescore=BAGS // 4)),
    "margin with staleness": ("margin", RoundPolicy(staleness=1)),
}


class Pool:
    """A bag table, weights of several versions, and samplers of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "chaos"
        with suppress(FileExistsError):
            write(self.path, as_table(random_bags(BAGS, SEED), third_positive(BAGS)), group_mb=0.05)
        models = [vector_model(seed=version) for version in range(VERSIONS)]
        self.model, self.weights = models[0], [model.state_dict() for model in models]

    def sampler(self, **where: Any) -> NegativeSampler:  # Any: NegativeSampler's own
        """A sampler over the table."""
        return NegativeSampler(
            self.path, self.model, k=K, positives=self.path, target_label="bird", options=OPTIONS, **where
        )


class Stream:
    """The rounds of several runs in turn: each run there has a twin here, so that both have the same past."""

    def __init__(self, pool: Pool, there: NegativeSampler, here: NegativeSampler) -> None:
        self._weights, self.turns = pool.weights, 0
        self._twins = [
            [sampler.sibling(strategy, k=K, seed=SEED, policy=policy) for sampler in (there, here)]
            for strategy, policy in RUNS.values()
        ]

    def begin(self) -> list[Any]:  # Any: a pending selection
        """Begin the next round there; two at once where the weights may be stale."""
        return self._submit(0)

    def differ(self, found: list[Selection]) -> int:
        """How many of the selections aren't the undisturbed ones, bit for bit; then it is the next run's turn."""
        expected = [pending.result() for pending in self._submit(1)]
        self.turns += 1
        return sum(not same(one, other) for one, other in zip(found, expected, strict=True))

    @property
    def run(self) -> int:
        """The run whose turn it is."""
        return self.turns % len(RUNS)

    def _submit(self, twin: int) -> list[Any]:  # Any: as above
        sampler, policy = self._twins[self.run][twin], list(RUNS.values())[self.run][1]
        rounds = 2 if policy.staleness else 1
        version = rounds * (self.turns // len(RUNS))
        weights = self._weights[version % VERSIONS]
        return [sampler.submit(weights, version + behind, version) for behind in range(rounds)]


def same(one: Selection, other: Selection) -> bool:
    """Whether two selections have the same bags, scores and version."""
    pairs = ((one.index, other.index), (one.score, other.score))
    return all(np.array_equal(*pair) for pair in pairs) and one.version == other.version


def ended(pending: list[Any]) -> tuple[list[Selection], float]:  # Any: as above
    """Selections, and when they were there."""
    selections: list[Selection] = [each.result() for each in pending]
    return selections, time.monotonic()


def repairs(selections: list[Selection]) -> Counter[str]:
    """What the selections' accounts say of recoveries."""
    return sum((Counter(vars(each.account.recovery)) for each in selections), Counter[str]())
