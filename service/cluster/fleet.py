"""The fleet on Ray: scorer actors asked all at once, and what `repair` says about lost, hung and slow ones done.

A scorer that dies is restarted by Ray and rebuilt from its arguments, where the cluster has room.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from negsift.common.errors import ServiceError
from negsift.common.repairs import RecoveryCounts
from negsift.common.types import InstanceFeatures, Snapshot
from negsift.service.cluster.errors import cluster_line, put, reason_to_repeat
from negsift.service.cluster.scorer import Published, Reply
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.fleet.failover import Action, Call, Kill, Limits, RequestTracker
from negsift.service.fleet.work_items import Cuts, WorkItem

log = logging.getLogger(__name__)

_TICK_S, _GET_S = 0.2, 10.0


class RayFleet:
    """One round's access to the scorers, until its deadline."""

    def __init__(self, crew: ScorerGroup, limits: Limits) -> None:
        self._crew, self._limits = crew, limits
        self._until = time.monotonic() + limits.round_s
        self.repairs, self._settled = RecoveryCounts(), False
        self._cuts: Cuts = {}

    @property
    def shards(self) -> int:
        """How many scorers there are."""
        return len(self._crew.scorers)

    def publish(self, snapshot: Snapshot) -> Published:
        """Put the weights into the object store, once for all shards."""
        return Published(snapshot.version, snapshot.digest, [put(snapshot, "the weights")])

    def extend(self, published: Published, features: InstanceFeatures) -> Published:
        """The same weights together with the features of the pool's instances."""
        return replace(published, references=[published.references[0], put(features, "the instances' features")])

    def ask(self, method: str, published: Published, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Shard.method(snapshot, *args)` of every shard, in the order of their numbers; of some in pieces.

        Raises ServiceError if an answer is missing at the round's deadline or a scorer can't be restarted;
        an exception raised by the model or the pool comes out as itself, at once.
        """
        if not self._settled:
            moved = self._crew.settle(self._limits.round_s)
            self.repairs, self._settled = RecoveryCounts(moved=moved, coordinator=self._crew.reborn()), True
        arguments = [put(args, f"the arguments of {method}")]
        late = {number: since for number, (_, since) in self._crew.late.items()}
        question = RequestTracker(len(self._crew.scorers), self._limits, late, self._cuts)
        asking = RequestRun(self._crew, question, (method, published, arguments))
        try:
            while not question.done:
                asking.step(time.monotonic())
                if not question.done and time.monotonic() > self._until:
                    raise self._overdue(question)
        finally:
            self._crew.late |= asking.still_running()
            before = self.repairs
            self.repairs = replace(
                before, retries=before.retries + asking.retries, restarts=before.restarts + asking.restarts,
                hung=before.hung + asking.hung, taken_over=before.taken_over + question.taken_over,
            )  # fmt: skip
        self._cuts = question.cuts
        return question.answers

    def _overdue(self, question: RequestTracker) -> ServiceError:
        silent, needs = question.overdue(time.monotonic()), self._limits.needs
        return ServiceError(
            f"no answer from {silent} within {self._limits.round_s:g} s; {cluster_line()}, a scorer needs {needs}",
            "bring lost nodes back or add one, look at the Ray dashboard, or raise --set fleet.deadline_s",
        )


class RequestRun:
    """Carries out a question's actions, and tells it what comes of them."""

    def __init__(self, crew: ScorerGroup, question: RequestTracker, what: tuple[str, Published, Any]) -> None:
        """`what` are the method, the weights, and the other arguments' reference in a list."""
        self._crew, self._question, self._what = crew, question, what
        self._calls: dict[Any, tuple[int, WorkItem | None]] = {}  # Any: ray.ObjectRef, here and below
        self._probes: dict[Any, int] = {}
        for number, post in enumerate(question.posts):
            if post.late:
                self._calls[crew.late[number][0]] = number, None
        self.retries = self.restarts = self.hung = 0

    def step(self, now: float) -> None:
        """Do what is to be done, then wait for a moment and take in what arrives."""
        for action in self._question.next(now):
            self._act(action)
        waiting = [*self._calls, *self._probes]
        for reference in ray.wait(waiting, timeout=_TICK_S)[0] if waiting else ():
            self._take(reference, time.monotonic())

    def still_running(self) -> Mapping[int, tuple[Any, float]]:
        """Calls nobody waits for any more, by their scorers, and since when they run."""
        posts = self._question.posts
        return {number: (reference, posts[number].since) for reference, (number, _) in self._calls.items()}

    def _act(self, action: Action) -> None:
        scorer, name = self._crew.scorers[action.scorer], f"scorer-{action.scorer}"
        if isinstance(action, Call):
            method, published, arguments = self._what
            named = scorer.ask.options(name=f"{name}.{method}:version={published.version}")
            self._calls[named.remote(method, published, arguments, action.piece)] = action.scorer, action.piece
            self.retries += int(action.again)
            part = action.piece
            if part.number != action.scorer:
                log.warning("%s takes over part %d of %d of scorer-%d", name, part.at + 1, part.of, part.number)
        elif isinstance(action, Kill):
            log.warning("%s hangs and is started anew", name)
            self.hung += 1
            ray.kill(scorer, no_restart=False)
        else:
            self._probes[scorer.status.remote()] = action.scorer

    def _take(self, reference: Any, now: float) -> None:
        probed = reference in self._probes
        number, piece = (self._probes.pop(reference), None) if probed else self._calls.pop(reference)
        if not probed:
            self._crew.late.pop(number, None)
        try:
            found = ray.get(reference, timeout=_GET_S)
        except RayTaskError as error:
            if piece is not None or probed:
                self._lost(number, error, now)
            else:  # what went wrong in a call that nobody waits for is of no interest
                self._question.answered(number, None, None, now)
        except RayError as error:
            self._lost(number, error, now)
        else:
            self._arrived(number, piece, found, now)

    def _lost(self, number: int, error: RayError, now: float) -> None:
        reason = reason_to_repeat(error, f"scorer-{number}")
        if self._question.posts[number].down_since is None:
            log.warning("scorer-%d is lost: %s", number, reason)
        self._question.lost(number, reason, now)

    def _arrived(self, number: int, piece: WorkItem | None, found: Reply | dict[str, Any], now: float) -> None:
        if not isinstance(found, Reply):  # a probe's status
            self._question.back(number)
            return
        self.restarts += int(self._crew.lives.get(number, found.life) != found.life)
        self._crew.lives[number], self._crew.nodes[number] = found.life, found.node
        self._question.answered(number, piece, found.answer, now)
