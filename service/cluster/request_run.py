"""One request on Ray: carries out what failover decides on lost, hung and slow scorers, and tells it what comes."""

import logging
import time
from typing import Any, Generic, Literal, TypeVar

import ray
from ray import ObjectRef
from ray.exceptions import RayError, RayTaskError

from negsift.common.account import RecoveryCounts
from negsift.service.cluster.actor_records import actor_id, being_restarted
from negsift.service.cluster.errors import put, reason_to_repeat
from negsift.service.cluster.references import Reply, ScorerStatus, WeightsRef
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.fleet.failover import Action, Call, Kill, RequestTracker
from negsift.service.fleet.recovery_ledger import RecoveryLedger
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.requests import ShardRequest

log = logging.getLogger(__name__)
T = TypeVar("T")

Awaited = WorkItem | Literal["late call", "probe"]
"""A call for an item, a call of an earlier request that was finished without it, or a sign of life."""

_TICK_S, _GET_S = 0.2, 10.0


class RequestRun(Generic[T]):
    """One request's calls under way; its failures are counted in `ledger`."""

    def __init__(
        self, group: ScorerGroup, tracker: RequestTracker[T], ledger: RecoveryLedger, weights: WeightsRef,
        request: ShardRequest[T],
    ) -> None:  # fmt: skip
        self._group, self._tracker, self._ledger, self._weights = group, tracker, ledger, weights
        self._name, self._request = type(request).__name__, [put(request, f"the request {type(request).__name__}")]
        self._awaited: dict[ObjectRef[Any], tuple[int, Awaited]] = {  # Any: the answer of a call or of a probe
            reference: (number, "late call") for number, (reference, _) in group.late.items()
        }
        self._look_at = group.clock.tick() + (0.0 if group.down else _TICK_S)
        self._take_ready(0.0)

    def step(self) -> float:
        """Carry out the actions due, then wait a moment for answers; gives the time on the group's clock.

        The time is taken after answers, so nobody is judged by what came while this process itself was stopped.
        """
        now, splits = self._group.clock.tick(), self._tracker.splits
        if now >= self._look_at:
            self._look(now)
        actions = self._tracker.next(now)
        self._ledger.add(RecoveryCounts(taken_over=self._tracker.splits - splits))
        for action in actions:
            self._act(action)
        self._take_ready(_TICK_S)
        return self._group.clock.tick()

    def leave(self) -> None:
        """Have the group know the calls that nobody waits for any more, and since when they run, and who is down."""
        scorers = self._tracker.scorers
        for reference, (number, awaited) in self._awaited.items():
            if awaited != "probe":
                self._group.late[number] = reference, scorers[number].since
        down = {number: state.down_since for number, state in enumerate(scorers)}
        self._group.down = {number: since for number, since in down.items() if since is not None}

    def _look(self, now: float) -> None:
        """See which scorers are gone, seconds before their calls fail."""
        self._look_at, gone = now + _TICK_S, being_restarted()
        numbers = {number for number, scorer in enumerate(self._group.scorers) if actor_id(scorer) in gone}
        self._awaited = {answer: sent for answer, sent in self._awaited.items() if sent[0] not in numbers}
        for number in numbers:
            self._group.late.pop(number, None)
            if self._tracker.scorers[number].down_since is None:
                self._report_loss(number, "its process is gone", now)
        self._tracker.restarting(numbers)

    def _act(self, action: Action) -> None:
        scorer, name = self._group.scorers[action.scorer], f"scorer-{action.scorer}"
        if isinstance(action, Call):
            item, call = action.item, scorer.ask.options(name=f"scorer.{self._name}")
            self._awaited[call.remote(self._weights, self._request, item)] = action.scorer, item
            if item.shard != action.scorer:
                log.warning("%s takes over part %d of %d of scorer-%d", name, item.part + 1, item.parts, item.shard)
        elif isinstance(action, Kill):
            log.warning("%s hangs and is restarted", name)
            self._ledger.add(RecoveryCounts(hung=1))
            ray.kill(scorer, no_restart=False)
        else:
            self._awaited[scorer.status.remote()] = action.scorer, "probe"

    def _take_ready(self, timeout_s: float) -> None:
        """Take in all answers that are there, wherever they lie; if there is none, wait for one up to `timeout_s`."""
        awaited = list(self._awaited)
        if not awaited:  # all scorers are being restarted
            time.sleep(timeout_s)
            return
        ray.wait(awaited, timeout=timeout_s)
        for reference in ray.wait(awaited, num_returns=len(awaited), timeout=0, fetch_local=False)[0]:
            self._take(reference, self._group.clock.tick())

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
                self._report_loss(number, reason_to_repeat(error, f"scorer-{number}"), now)
            return
        self._note_home(number, answer)
        if awaited == "probe":
            self._tracker.back(number)
        elif isinstance(awaited, WorkItem):
            self._tracker.answered(number, awaited, answer.answer, now)
        else:
            self._tracker.caught_up(number)

    def _report_loss(self, number: int, reason: str, now: float) -> None:
        if self._tracker.scorers[number].down_since is None:
            log.warning("scorer-%d is lost: %s", number, reason)
        self._ledger.add(RecoveryCounts(retries=int(self._tracker.lost(number, reason, now))))

    def _note_home(self, number: int, answer: Reply[T] | ScorerStatus) -> None:
        """Note the scorer's node, and count its restarts."""
        self._ledger.meet(answer.incarnation)
        self._group.nodes[number] = answer.node
