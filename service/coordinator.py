"""One round: learn from the positives, have every shard score, merge, pick. Keeps nothing between rounds."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import BadInput, ServiceError
from common.models.embed import Ask
from common.rng import stream_key, uniform_keys
from common.types import Account, Candidates, Embedded, Index, InstanceFeatures, Need, Round, Selection
from service.fleet import Fleet
from service.merge import merge, top_k
from service.strategies.base import Prepared, Strategy
from service.strategies.random import Random

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What one run wants: a strategy. Epochs below `random_rounds` are picked at random, since untrained
    scores are noise.
    """

    strategy: Strategy
    random_rounds: int = 0

    def strategy_at(self, epoch: int) -> Strategy:
        """The strategy, or Random in the first rounds of one that scores."""
        early = epoch < self.random_rounds and self.strategy.need > Need.NOTHING
        return Random() if early else self.strategy


@dataclass(frozen=True)
class Layout:
    """The pool's size; `gather_bytes` of embeddings a `whole` strategy may gather at most; and whether its
    bags share instances, so that these are encoded first.
    """

    pool: int
    gather_bytes: int = 4 << 30
    share_instances: bool = False


class Coordinator:
    """Runs rounds on a fleet; the answer is a function of (task, round, weights) alone."""

    def __init__(self, fleet: Fleet, layout: Layout) -> None:
        self._fleet, self._layout = fleet, layout

    def select(self, task: Task, round: Round, published: Any) -> Selection:  # Any: what the fleet's publish gave
        """The negatives of one round; exactly `round.k` of them, or an error."""
        if not self._layout.pool:
            none = np.zeros(0)
            return Selection(np.zeros(0, dtype=np.int64), none, none, published.version)
        strategy = task.strategy_at(round.epoch)
        clock, retries = Clock(), self._fleet.retries
        if self._layout.share_instances and strategy.need > Need.NOTHING:
            with clock.stage("score"):
                published = self._encode_instances(published)
        with clock.stage("prepare"):
            prepared = self._prepare(strategy, round, published)
        candidates, filled = self._choose(strategy, prepared, round, published, clock)
        _require_enough(candidates, round)
        scored = candidates.seen if strategy.need else 0
        account = Account(scored, candidates.dropped, filled, self._fleet.retries - retries, clock.seconds)
        weight = np.ones(round.k)
        return Selection(candidates.index, candidates.score, weight, published.version, 0, account)

    def _choose(
        self, strategy: Strategy, prepared: Prepared, round: Round, published: Any, clock: "Clock"
    ) -> tuple[Candidates, int]:
        if not strategy.whole:
            with clock.stage("score"):
                parts = self._fleet.ask("candidates", published, strategy, prepared, round)
            with clock.stage("merge"):
                return merge(parts, round.k), 0
        with clock.stage("score"):
            embedded = self._embed(published, "pool", Ask(strategy.need, strategy.label, round.target), None)
        self._require_room(embedded)
        with clock.stage("merge"):
            return strategy.pick(embedded, round)

    def _prepare(self, strategy: Strategy, round: Round, published: Any) -> Prepared:
        if not strategy.learns_from_positives:
            return {}
        ask = Ask(strategy.need, strategy.label, round.target)
        positives = self._embed(published, "positives", ask, None)
        _require_finite(positives)
        if not strategy.learns_from_negatives:
            return strategy.prepare(positives, positives.take(np.zeros(0, dtype=np.int64)))
        return strategy.prepare(positives, self._embed(published, "pool", ask, self._in_use(round)))

    def _in_use(self, round: Round) -> Index:
        """The last selection, or k random positions where there is none yet."""
        if round.previous is not None and len(round.previous):
            return round.previous
        everything = np.arange(self._layout.pool, dtype=np.int64)
        keys = uniform_keys(stream_key(round.seed, "in-use", round.epoch), everything)
        return everything[top_k(everything, keys, max(round.k, 1))]

    def _embed(self, published: Any, part: str, ask: Ask, wanted: Index | None) -> Embedded:
        answers = self._fleet.ask("embed", published, part, ask, wanted)
        return Embedded.merge([answer for answer in answers if answer is not None])

    def _encode_instances(self, published: Any) -> Any:
        parts = self._fleet.ask("encode", published)
        return self._fleet.extend(published, InstanceFeatures.merge(parts))

    def _require_room(self, embedded: Embedded) -> None:
        if embedded.size_bytes > self._layout.gather_bytes:
            raise ServiceError(
                f"{embedded.size_bytes >> 20} MiB of embeddings gathered, {self._layout.gather_bytes >> 20} allowed",
                "raise --set fleet.gather_mb or use a top-k strategy",
            )


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to `name`."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def check_round(k: int, pool: int) -> None:
    """Raise BadInput unless k negatives can be had of a pool of that size."""
    if not isinstance(k, (int, np.integer)) or not 0 <= k <= pool:
        raise BadInput(
            f"{k} negatives asked for",
            f"between 0 and {pool}, the size of the pool",
            "raise --set sampling.ratio, enlarge the pool, or use strategy.name=full",
        )


def _require_finite(positives: Embedded) -> None:
    sick = int((~positives.finite).sum())
    if sick:
        raise BadInput(
            f"{sick} of {len(positives.index)} positive bags not finite",
            "finite logits and features",
            "look for NaN in the positives",
        )


def _require_enough(candidates: Candidates, round: Round) -> None:
    if candidates.dropped:
        log.warning("epoch %d: %d bags left out, their scores are not finite", round.epoch, candidates.dropped)
    if len(candidates.index) != round.k:
        raise BadInput(
            f"{len(candidates.index)} bags with finite scores of {candidates.seen}",
            f"{round.k} at least",
            "look for NaN in the pool's bags, or lower k",
        )
