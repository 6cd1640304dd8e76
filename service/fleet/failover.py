"""What to do about scorers that are slow, hung or dead, while one request is put to all shards.

`RequestTracker` decides and does not act: the fleet reports events to it and carries out its actions. A shard's work
is whole blocks embedded with weights that travel along, so any scorer can do it. The work of a scorer that is lost, or
slow, is split in equal items for the other scorers as soon as one is idle; the first answer counts, and all answers
have the same bits. In later requests of the round the items stay with the scorers that took them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from negsift.service.fleet.scorer_state import ScorerState
from negsift.service.fleet.shard_work import ShardWork, TakenOver
from negsift.service.pool.blocks import WorkItem

T = TypeVar("T")
_SLOW_FACTOR, _SLOW_LEAST_S = 3.0, 5.0
_PROBE_S = 0.2


@dataclass(frozen=True)
class Limits:
    """`round_s`: a round fails after this long. `call_s`: a scorer without an answer for this long is restarted.

    `needs` says in words which resources a scorer takes.
    """

    round_s: float = 600.0
    call_s: float = 300.0
    needs: str = ""


@dataclass(frozen=True)
class Call:
    """Have a scorer work on an item of any shard."""

    scorer: int
    item: WorkItem


@dataclass(frozen=True)
class Probe:
    """Ask a lost scorer for a sign of life."""

    scorer: int


@dataclass(frozen=True)
class Kill:
    """End a scorer that hangs, so that it is restarted."""

    scorer: int


Action = Call | Probe | Kill


def slow_after_s(durations: Sequence[float], scorers: int) -> float | None:
    """Seconds after which a call is slow: 3 medians of those done, at least 5; None while fewer than half are done."""
    return max(_SLOW_FACTOR * median(durations), _SLOW_LEAST_S) if 2 * len(durations) >= scorers else None


class RequestTracker(Generic[T]):
    """One request to all shards: who works on what, and what to do next. Times are monotonic seconds."""

    def __init__(
        self,
        scorers: int,
        limits: Limits,
        late: Mapping[int, float],
        taken_over: TakenOver | None = None,
        down: Mapping[int, float] | None = None,
    ) -> None:
        """`late` scorers work on an earlier request, and others are `down`, since then; `taken_over` is that of the
        round's last request.
        """
        self._limits, before = limits, taken_over or {}
        self.scorers = [ScorerState(since=late.get(number, 0.0), late=number in late) for number in range(scorers)]
        for number, since in (down or {}).items():
            self.scorers[number].down_since = since
        self._work: list[ShardWork[T]] = [ShardWork.after(before.get(number, {})) for number in range(scorers)]
        self.splits = 0
        self._durations: list[float] = []

    @property
    def done(self) -> bool:
        """Whether every shard is answered."""
        return all(work.done for work in self._work)

    @property
    def answers(self) -> Sequence[T]:
        """All answers, in the order of the shards, and of items within one."""
        ordered = (sorted(work.answers.items(), key=lambda pair: pair[0].part) for work in self._work)
        return [answer for pairs in ordered for _, answer in pairs]

    @property
    def taken_over(self) -> TakenOver:
        """The shards answered by other scorers than their own."""
        takers = {number: work.taken_over for number, work in enumerate(self._work)}
        return {number: taken for number, taken in takers.items() if taken}

    def answered(self, scorer: int, item: WorkItem, answer: T, now: float) -> None:
        """A scorer has answered an item."""
        state = self.scorers[scorer]
        if item == WorkItem(scorer):
            self._durations.append(now - state.since)
        state.item = None
        self._work[item.shard].add(item, answer)

    def caught_up(self, scorer: int) -> None:
        """A late scorer is done with the earlier request."""
        self.scorers[scorer].late = False

    def lost(self, scorer: int, reason: str, now: float) -> bool:
        """A scorer's call or probe failed, or its process is gone; its item is free again.

        Gives whether a call has to be repeated.
        """
        state = self.scorers[scorer]
        item, state.item, state.late, state.killed = state.item, None, False, False
        state.reason, state.probe_at = reason, now + _PROBE_S
        if state.down_since is None:
            state.losses, state.down_since = state.losses + 1, now
        if item is None or self._work[item.shard].done:
            return False
        if self._work[item.shard].takers.get(item) == scorer:
            self._work[item.shard].give_back(item)
        return True

    def restarting(self, scorers: Collection[int]) -> None:
        """These lost scorers are being restarted, and no others."""
        for number, state in enumerate(self.scorers):
            state.restarting = number in scorers
            state.probe_at = 0.0 if state.restarting else state.probe_at

    def back(self, scorer: int) -> None:
        """A lost scorer answers again."""
        self.scorers[scorer].down_since = None

    def next(self, now: float) -> list[Action]:
        """The actions due now, for the caller to carry out."""
        actions: list[Action] = []
        for number, state in enumerate(self.scorers):
            actions += self._own_actions(number, state, now)
        self._split(now)
        return actions + self._hand_out(now)

    def overdue(self, now: float) -> str:
        """The shards without an answer, and the state of their scorers, in words."""
        return ", ".join(self._describe(number, now) for number, work in enumerate(self._work) if not work.done)

    def _own_actions(self, number: int, state: ScorerState, now: float) -> list[Action]:
        """The actions that concern one scorer and its own shard."""
        if state.down_since is not None:
            if state.restarting or now < state.probe_at:
                return []
            state.probe_at = float("inf")  # until the probe is answered
            return [Probe(number)]
        if (state.item or state.late) and not state.killed and now - state.since > self._limits.call_s:
            state.killed = True
            return [Kill(number)]
        if state.item or state.late or not self._owed(number, now):
            return []
        return [self._assign(number, WorkItem(number), now)]

    def _owed(self, number: int, now: float) -> bool:
        """Whether a shard's own scorer has all of it to do: not if others have its items, unless they are slow."""
        work = self._work[number]
        return not (work.done or work.reassigned or (work.split and not self._slow(work, now)))

    def _slow(self, work: ShardWork[T], now: float) -> bool:
        limit_s = slow_after_s(self._durations, len(self.scorers))
        return limit_s is not None and work.began is not None and now - work.began > limit_s

    def _assign(self, scorer: int, item: WorkItem, now: float) -> Call:
        work, state = self._work[item.shard], self.scorers[scorer]
        work.began = now if work.began is None else work.began
        state.item, state.since, state.late = item, now, False
        return Call(scorer, item)

    def _idle(self, now: float) -> list[int]:
        return [number for number, state in enumerate(self.scorers) if state.idle and not self._owed(number, now)]

    def _split(self, now: float) -> None:
        """Split the shards of scorers that are lost, late or slow into items, once there is an idle scorer.

        There is an item for every scorer that is there, as all of them will be idle soon; a slow shard's are for those
        that are idle now, and the next one waits for others.
        """
        idle, there = len(self._idle(now)), sum(not state.late and state.down_since is None for state in self.scorers)
        for number, work in enumerate(self._work):
            if not idle or work.done or work.split:
                continue
            lost = self.scorers[number].down_since is not None
            if lost or self._slow(work, now) or (self.scorers[number].late and work.began is None):
                work.split, self.splits, parts = True, self.splits + 1, there if lost else idle
                work.free, idle = [WorkItem(number, part, parts) for part in range(parts)], idle if lost else 0

    def _hand_out(self, now: float) -> list[Action]:
        idle, actions = self._idle(now), list[Action]()
        for work in self._work:
            for item in list(work.free):
                taker = self._taker(work.takers.get(item), idle)
                if taker is not None:
                    idle.remove(taker)
                    work.free.remove(item)
                    work.takers[item] = taker
                    actions.append(self._assign(taker, item, now))
        return actions

    def _taker(self, before: int | None, idle: Sequence[int]) -> int | None:
        """The scorer for an item: the one that had it before, unless that is lost or late; then any idle one."""
        if before in idle or not idle:
            return before if before in idle else None
        alive = before is not None and self.scorers[before].down_since is None and not self.scorers[before].late
        return None if alive else idle[0]

    def _describe(self, number: int, now: float) -> str:
        state = self.scorers[number]
        losses = f"lost {state.losses} times ({state.reason}), " if state.losses else ""
        if state.down_since is not None:
            return f"scorer-{number} ({losses}not back for {now - state.down_since:.0f} s)"
        return f"scorer-{number} ({losses}at work for {now - state.since:.0f} s)"
