"""The fleet on Ray: asks all scorers at once, until the round's deadline."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from negsift.common.account import RecoveryCounts
from negsift.common.errors import ServiceError
from negsift.common.instance_features import InstanceFeatures
from negsift.service.cluster.errors import put
from negsift.service.cluster.references import WeightsRef
from negsift.service.cluster.request_run import RequestRun
from negsift.service.cluster.resources import describe_cluster
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.fleet.failover import Limits, RequestTracker
from negsift.service.fleet.recovery_ledger import RecoveryLedger
from negsift.service.fleet.shard_work import TakenOver
from negsift.service.scoring.requests import Fleet, ShardRequest

T = TypeVar("T")


class RayFleet(Fleet):
    """The scorers in one round, until its deadline; Ray restarts one that dies where the cluster has room."""

    def __init__(self, group: ScorerGroup, limits: Limits, weights: WeightsRef, ledger: RecoveryLedger) -> None:
        self._group, self._limits, self._weights, self._ledger = group, limits, weights, ledger
        self._until = group.clock.resume() + limits.round_s
        self.shards, self.version = len(group.scorers), weights.version
        ledger.add(RecoveryCounts(moved=group.settle(limits.round_s, weights.spec)))
        self.recovery = ledger.counts
        self._taken_over: TakenOver = {}

    def share_features(self, features: InstanceFeatures) -> None:
        """Put the features of the pool's instances into the object store, for the rest of the round."""
        self._weights = replace(self._weights, features=[put(features, "the instances' features")])

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """The answers of all shards, in the order of their numbers; a shard taken over answers in items.

        Raises ServiceError if an answer is missing at the round's deadline or a scorer can't be restarted; an
        exception of the model or the pool is raised at once, unchanged.
        """
        group, now = self._group, 0.0
        late = {number: since for number, (_, since) in group.late.items()}
        tracker = RequestTracker[T](self.shards, self._limits, late, self._taken_over, group.down)
        run = RequestRun(group, tracker, self._ledger, self._weights, request)
        try:
            while not tracker.done:
                if now > self._until:
                    raise self._overdue(tracker, now)
                now = run.step()
        finally:
            run.leave()
            self.recovery = self._ledger.counts
        self._taken_over = tracker.taken_over
        return tracker.answers

    def _overdue(self, tracker: RequestTracker[T], now: float) -> ServiceError:
        missing, needs = tracker.overdue(now), self._limits.needs
        return ServiceError(
            f"no answer from {missing} within {self._limits.round_s:g} s; {describe_cluster()}, a scorer needs {needs}",
            "bring lost nodes back or add one, look at the Ray dashboard, or raise fleet.deadline_s",
        )
