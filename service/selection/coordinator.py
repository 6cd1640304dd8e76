"""One round: learn from the positives, have every shard score, merge, pick. Keeps nothing between rounds."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from negsift.common.account import Account
from negsift.common.arrays import Index
from negsift.common.errors import BadInput
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.stage_timer import StageTimer
from negsift.common.types import Candidates, Embedded, InstanceFeatures, Need, Round, Selection
from negsift.service.fleet.local import Fleet
from negsift.service.points.shared_points import PoolLayout
from negsift.service.selection.pool_view import PoolView
from negsift.service.selection.round_scope import Scope
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.random import Random
from negsift.service.top_k import top_k

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What one run wants: a strategy. Epochs below `random_rounds` are picked at random, since untrained
    scores are noise; weights may be `staleness` epochs behind, or any number if that is None; `scope` says
    how much of the pool is scored.
    """

    strategy: Strategy
    random_rounds: int = 0
    staleness: int | None = None
    scope: Scope = field(default_factory=Scope)

    def strategy_at(self, epoch: int) -> Strategy:
        """The strategy, or Random in the first rounds of one that scores."""
        early = epoch < self.random_rounds and self.strategy.need > Need.NOTHING
        return Random() if early else self.strategy


class Coordinator:
    """Runs rounds on a fleet; the answer is a function of (task, round, weights) alone."""

    def __init__(self, fleet: Fleet, layout: PoolLayout) -> None:
        self._fleet, self._layout = fleet, layout

    def select(self, task: Task, round: Round, published: Any) -> Selection:  # Any: what the fleet's publish gave
        """The negatives of one round; exactly `round.k` of them, or an error."""
        layout = self._layout.of(round)
        if not layout.pool:
            none = np.zeros(0)
            return Selection(np.zeros(0, dtype=np.int64), none, none, published.version)
        strategy = task.strategy_at(round.epoch)
        watch, before = StageTimer(), self._fleet.repairs
        if self._layout.share_instances and strategy.need > Need.NOTHING:
            with watch.stage("score"):
                published = self._encode_instances(published, strategy, round)
        view = PoolView(self._fleet, published, layout, watch, round.lot)
        with watch.stage("prepare"):
            prepared = self._prepare(strategy, round, view, layout.pool)
        with watch.stage("merge"):
            picked = strategy.pick(view, prepared, round)
        _require_enough(picked.candidates, round)
        repairs = self._fleet.repairs.since(before)
        if repairs.any:
            log.warning("epoch %d: repaired on the way, the picks are the same: %s", round.epoch, repairs)
        account = Account(
            picked.candidates.seen if strategy.need else 0, picked.candidates.dropped, picked.filled,
            repairs.retries, picked.traffic, picked.left_out, watch.seconds,
            round.pool_version.version if round.pool_version else 0, repairs, picked.candidates.seen,
        )  # fmt: skip
        chosen = picked.candidates
        return Selection(chosen.index, chosen.score, np.ones(len(chosen.index)), published.version, 0, account)

    def _prepare(self, strategy: Strategy, round: Round, view: PoolView, pool: int) -> Prepared:
        if not strategy.learns_from_positives:
            return {}
        ask = strategy.ask(round)
        positives = view.embed("positives", ask)
        _require_finite(positives)
        if not strategy.learns_from_negatives:
            return strategy.prepare(positives, positives.take(np.zeros(0, dtype=np.int64)))
        return strategy.prepare(positives, view.embed("pool", ask, _in_use(round, pool)))

    def _encode_instances(self, published: Any, strategy: Strategy, round: Round) -> Any:
        also = _in_use(round, self._layout.of(round).pool) if strategy.learns_from_negatives and round.lot else None
        parts = self._fleet.ask("encode", published, round.lot, also)
        return self._fleet.extend(published, InstanceFeatures.merge(parts))


def _in_use(round: Round, pool: int) -> Index:
    """The last selection, or k random positions where there is none yet."""
    if round.previous is not None and len(round.previous):
        return round.previous
    everything = np.arange(pool, dtype=np.int64)
    keys = uniform_keys(stream_key(round.seed, "in-use", round.epoch), everything)
    return everything[top_k(everything, keys, max(round.k, 1))]


def check_round(k: int, pool: int) -> None:
    """Raise BadInput unless k negatives can be had of a pool of that size."""
    if not isinstance(k, (int, np.integer)) or not 0 <= k <= pool:
        raise BadInput(
            f"{k!r} negatives asked for",
            f"a whole number between 0 and {pool}, the size of the pool",
            "lower k (raise --set sampling.ratio), enlarge the pool, or use strategy.name=full",
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
    if len(candidates.index) != round.k and not round.at_most:
        raise BadInput(
            f"{len(candidates.index)} bags with finite scores of {candidates.seen}",
            f"{round.k} at least",
            "look for NaN in the pool's bags, or lower k",
        )
