"""One round: learn from the positives, have every shard score, merge, pick. Keeps nothing between rounds."""

import logging
from dataclasses import replace

import numpy as np

from negsift.common.account import Account
from negsift.common.arrays import Index
from negsift.common.errors import BadInput
from negsift.common.instance_features import InstanceFeatures
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.stage_timer import StageTimer
from negsift.common.types import Embedded, EmbeddingSpec, Need, Round, Selection
from negsift.service.points.shared_points import GatherLimits
from negsift.service.scoring.requests import EncodeInstances, Fleet
from negsift.service.selection.enough import require_enough
from negsift.service.selection.pool_view import FleetView
from negsift.service.selection.task import Task
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.contract import check_picks
from negsift.service.strategies.uncertainty import log_odds
from negsift.service.top_k import top_k

log = logging.getLogger(__name__)


def select(fleet: Fleet, task: Task, round: Round, limits: GatherLimits, *, shares_instances: bool) -> Selection:
    """The negatives of one round: a function of (task, round, weights) alone.

    With `shares_instances` every instance is encoded once, before bags are pooled from the features. Raises
    BadInput if fewer than k bags have finite scores, and what `Fleet.ask` raises.
    """
    if not round.pool.bags:
        empty = np.zeros(0)
        return Selection(np.zeros(0, dtype=np.int64), empty, empty, fleet.version)
    strategy, timer = task.strategy_at(round.epoch), StageTimer()
    if shares_instances and strategy.need > Need.NOTHING:
        with timer.stage("score"):
            also = _in_use(round) if strategy.learns_from_negatives and round.subset else None
            fleet.share_features(InstanceFeatures.merge(fleet.ask(EncodeInstances(round.subset, also))))
    view = FleetView(fleet, round, limits, timer)
    with timer.stage("prepare"):
        prepared = _prepare(strategy, round, view)
        share = task.guards_at(round.epoch).positives
        round = round if share is None else replace(round, limit=_limit(view, share, round))
    with timer.stage("merge"):
        picked = strategy.pick(view, prepared, round)
    check_picks(strategy, picked.candidates, round)
    require_enough(picked.candidates, round, share)
    if fleet.recovery.any:
        log.warning("epoch %d: recovered on the way, the picks are the same: %s", round.epoch, fleet.recovery)
    chosen = picked.candidates
    account = Account(
        scored=chosen.seen if strategy.need else 0, dropped=chosen.dropped, filled=picked.filled,
        traffic=picked.traffic, left_out=picked.left_out, seconds=timer.seconds, pool_version=round.pool.version,
        recovery=fleet.recovery, considered=chosen.seen,
        guarded={} if share is None else {"positives": chosen.guarded},
    )  # fmt: skip
    weight = np.ones(len(chosen.index)) if picked.weight is None else picked.weight
    return Selection(chosen.index, chosen.score, weight, fleet.version, account=account, draw=picked.draw)


def _prepare(strategy: Strategy, round: Round, view: FleetView) -> Prepared:
    if not strategy.learns_from_positives:
        return {}
    spec = strategy.embedding_spec(round)
    positives = _positives(view, spec)
    if not strategy.learns_from_negatives:
        return strategy.prepare(positives, positives.take(np.zeros(0, dtype=np.int64)))
    return strategy.prepare(positives, view.embed_pool(spec, _in_use(round)))


def _limit(view: FleetView, share: float, round: Round) -> float:
    """The log-odds that a `share` of the positive bags does not exceed."""
    positives = _positives(view, EmbeddingSpec(Need.LOGITS, target=round.target))
    return float(np.quantile(log_odds(positives.logits, round.target), share, method="inverted_cdf"))


def _positives(view: FleetView, spec: EmbeddingSpec) -> Embedded:
    positives = view.embed_positives(spec)
    not_finite = int((~positives.finite).sum())
    if not_finite:
        raise BadInput(
            f"{not_finite} of {len(positives.index)} positive bags not finite", "finite logits and features",
            "look for NaN in the positives",
        )  # fmt: skip
    return positives


def _in_use(round: Round) -> Index:
    """The last selection, or k random positions before the first one."""
    if round.previous is not None and len(round.previous):
        return round.previous
    positions = np.arange(round.pool.bags, dtype=np.int64)
    keys = uniform_keys(stream_key(round.seed, "in-use", round.epoch), positions)
    return positions[top_k(positions, keys, max(round.k, 1))]
