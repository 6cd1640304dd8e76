"""The fleet on Ray: asks all scorers at once, and carries out what failover decides on lost, hung and slow ones."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

import ray
from ray import ObjectRef
from ray.exceptions import RayError, RayTaskError

from negsift.common.account import RecoveryCounts
from negsift.common.errors import ServiceError
from negsift.common.types import InstanceFeatures
from negsift.service.cluster.errors import put, reason_to_repeat
from negsift.service.cluster.resources import describe_cluster
from negsift.service.cluster.scorer import Reply, WeightsRef
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.fleet.failover import Action, Call, Kill, Limits, RequestTracker
from negsift.service.fleet.shard_work import TakenOver
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.requests import Fleet, ShardRequest

log = logging.getLogger(__name__)
T = TypeVar("T")

Awaited = WorkItem | Literal["late call", "probe"]
"""A call for an item, a call of an earlier request that was finished without it, or a sign of life."""

_TICK_S, _GET_S = 0.2, 10.0


class RayFleet(Fleet):
    """The scorers in one round, until its deadline; Ray restarts one that dies where the cluster has room."""

    def __init__(self, group: ScorerGroup, limits: Limits, weights: WeightsRef) -> None:
        self._group, self._limits, self._weights = group, limits, weights
        self._until = time.monotonic() + limits.round_s
        self.shards, self.version = len(group.scorers), weights.version
        moved = group.settle(limits.round_s, weights.spec)
        self.recovery = RecoveryCounts(moved=moved, coordinator=group.coordinator_restarts())
        self._taken_over: TakenOver = {}

    def share_features(self, features: InstanceFeatures) -> None:
        """Put the features of the pool's instances into the object store, for the rest of the round."""
        self._weights = replace(self._weights, features=[put(features, "the instances' features")])

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """The answers of all shards, in the order of their numbers; a shard taken over answers in items.

        Raises ServiceError if an answer is missing at the round's deadline or a scorer can't be restarted; an
        exception of the model or the pool is raised at once, unchanged.
        """
        late = {number: since for number, (_, since) in self._group.late.items()}
        tracker = RequestTracker[T](self.shards, self._limits, late, self._taken_over)
        run = RequestRun(self._group, tracker, self._weights, request)
        try:
            while not tracker.done:
                run.step(time.monotonic())
                if not tracker.done and time.monotonic() > self._until:
                    raise self._overdue(tracker)
        finally:
            self._group.late |= run.still_running()
            self.recovery += run.recovery
        self._taken_over = tracker.taken_over
        return tracker.answers

    def _overdue(self, tracker: RequestTracker[T]) -> ServiceError:
        missing, needs = tracker.overdue(time.monotonic()), self._limits.needs
        return ServiceError(
            f"no answer from {missing} within {self._limits.round_s:g} s; {describe_cluster()}, a scorer needs {needs}",
            "bring lost nodes back or add one, look at the Ray dashboard, or raise fleet.deadline_s",
        )


class RequestRun(Generic[T]):
    """Carries out the actions of a request's tracker, and reports to it what comes of them."""

    def __init__(
        self, group: ScorerGroup, tracker: RequestTracker[T], weights: WeightsRef, request: ShardRequest[T]
    ) -> None:
        self._group, self._tracker, self._weights = group, tracker, weights
        self._name, self._request = type(request).__name__, [put(request, f"the request {type(request).__name__}")]
        self._awaited: dict[ObjectRef[Any], tuple[int, Awaited]] = {  # Any: the answer of a call or of a probe
            reference: (number, "late call") for number, (reference, _) in group.late.items()
        }
        self._counts = RecoveryCounts()

    @property
    def recovery(self) -> RecoveryCounts:
        """The failures recovered from so far."""
        return replace(self._counts, taken_over=self._tracker.splits)

    def step(self, now: float) -> None:
        """Carry out the actions due, then wait a moment for answers."""
        for action in self._tracker.next(now):
            self._act(action)
        for reference in ray.wait(list(self._awaited), timeout=_TICK_S)[0] if self._awaited else ():
            self._take(reference, time.monotonic())

    def still_running(self) -> Mapping[int, tuple[ObjectRef[Any], float]]:  # Any: as above
        """By scorer: calls nobody waits for any more, and since when they run."""
        calls = [(number, answer) for answer, (number, awaited) in self._awaited.items() if awaited != "probe"]
        return {number: (answer, self._tracker.scorers[number].since) for number, answer in calls}

    def _act(self, action: Action) -> None:
        scorer, name = self._group.scorers[action.scorer], f"scorer-{action.scorer}"
        if isinstance(action, Call):
            item, call = action.item, scorer.ask.options(name=f"{name}.{self._name}")
            self._awaited[call.remote(self._weights, self._request, item)] = action.scorer, item
            self._counts += RecoveryCounts(retries=int(action.again))
            if item.shard != action.scorer:
                log.warning("%s takes over part %d of %d of scorer-%d", name, item.part + 1, item.parts, item.shard)
        elif isinstance(action, Kill):
            log.warning("%s hangs and is restarted", name)
            self._counts += RecoveryCounts(hung=1)
            ray.kill(scorer, no_restart=False)
        else:
            self._awaited[scorer.status.remote()] = action.scorer, "probe"

    def _take(self, reference: ObjectRef[Any], now: float) -> None:  # Any: as above
        number, awaited = self._awaited.pop(reference)
        if awaited == "late call":
            self._group.late.pop(number)
        try:
            answer = ray.get(reference, timeout=_GET_S)
        except RayError as error:
            if awaited == "late call" and isinstance(error, RayTaskError):  # nobody waits for what it raised
                self._tracker.caught_up(number)
            else:
                self._report_loss(number, error, now)
            return
        if awaited == "probe":
            self._tracker.back(number)
            return
        self._note_home(number, answer)
        if isinstance(awaited, WorkItem):
            self._tracker.answered(number, awaited, answer.answer, now)
        else:
            self._tracker.caught_up(number)

    def _report_loss(self, number: int, error: RayError, now: float) -> None:
        reason = reason_to_repeat(error, f"scorer-{number}")
        if self._tracker.scorers[number].down_since is None:
            log.warning("scorer-%d is lost: %s", number, reason)
        self._tracker.lost(number, reason, now)

    def _note_home(self, number: int, reply: Reply[T]) -> None:
        """Note the scorer's incarnation and node, and count a restart."""
        restarted = self._group.incarnations.get(number, reply.incarnation) != reply.incarnation
        self._counts += RecoveryCounts(restarts=int(restarted))
        self._group.incarnations[number], self._group.nodes[number] = reply.incarnation, reply.node
