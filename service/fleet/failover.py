"""What to do about scorers that are slow, hung or gone: the bookkeeping of one question put to all of them.

It decides and does not act: the fleet tells it what happened and carries out the actions it gives. A share of
whole blocks is embedded with weights that travel along, so anybody can: it is taken over from a scorer that
is lost or slower than `slow_after_s`, in equal pieces, by those that are done; the answer that is there first
counts, and both have the same bits. In later questions of the round a share stays with those that took it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from negsift.service.fleet.work_items import Cuts, ShardWork, WorkItem

_SLOW_FACTOR, _SLOW_LEAST_S = 3.0, 5.0
_PROBE_S = 0.2


@dataclass(frozen=True)
class Limits:
    """Seconds until a round without an end is an error, and until a call without an answer costs its scorer the life.

    `needs` says in words what a scorer takes of a cluster.
    """

    round_s: float = 600.0
    call_s: float = 300.0
    needs: str = ""


@dataclass(frozen=True)
class Call:
    """Have a scorer work on a piece of anybody's share; `again` if its own scorer was given it before."""

    scorer: int
    piece: WorkItem
    again: bool = False


@dataclass(frozen=True)
class Probe:
    """See whether a lost scorer is back."""

    scorer: int


@dataclass(frozen=True)
class Kill:
    """End a scorer that hangs, so that it is started anew."""

    scorer: int


Action = Call | Probe | Kill


@dataclass
class ScorerState:
    """One scorer: what it works on since when, or since when it is lost, and how often that happened."""

    piece: WorkItem | None = None
    since: float = 0.0
    down_since: float | None = None
    probe_at: float = 0.0
    losses: int = 0
    reason: str = ""
    killed: bool = False
    late: bool = False

    @property
    def idle(self) -> bool:
        """Whether it could take something on."""
        return self.piece is None and self.down_since is None and not self.late


def slow_after_s(spans: Sequence[float], scorers: int) -> float | None:
    """After how many seconds a call is slow: three times the median of those done, five seconds at least.

    None while fewer than half of the scorers are done.
    """
    return max(_SLOW_FACTOR * median(spans), _SLOW_LEAST_S) if 2 * len(spans) >= scorers else None


class RequestTracker:
    """One method of every shard: who works on what, and what to do next."""

    def __init__(self, scorers: int, limits: Limits, late: Mapping[int, float], cuts: Cuts | None = None) -> None:
        """`late` scorers still work on something older; `cuts` are the shares taken over in earlier questions."""
        self._limits, known = limits, cuts or {}
        self.posts = [ScorerState(since=late.get(number, 0.0), late=number in late) for number in range(scorers)]
        self.shares = [ShardWork.of(known.get(number, {})) for number in range(scorers)]
        self.taken_over = 0
        self._spans: list[float] = []

    @property
    def done(self) -> bool:
        """Whether every share is answered."""
        return all(share.done for share in self.shares)

    @property
    def answers(self) -> Sequence[Any]:  # Any: the method's
        """All answers, in the order of the shards, and of pieces within one."""
        return [
            share.answers[piece] for share in self.shares for piece in sorted(share.answers, key=lambda each: each.at)
        ]

    @property
    def cuts(self) -> Cuts:
        """The shares that were answered in pieces, and who has worked on each."""
        taken = {number: share.taken for number, share in enumerate(self.shares)}
        return {number: takers for number, takers in taken.items() if takers}

    def answered(self, scorer: int, piece: WorkItem | None, answer: Any, now: float) -> None:  # Any: the method's
        """A scorer is done with a piece, or, without one, with what made it late."""
        post = self.posts[scorer]
        if piece is None:
            post.late = False
            return
        if piece == WorkItem(scorer):
            self._spans.append(now - post.since)
        post.piece = None
        self.shares[piece.number].add(piece, answer)

    def lost(self, scorer: int, reason: str, now: float) -> None:
        """A scorer's call or probe came to nothing; what it worked on is free again."""
        post = self.posts[scorer]
        if post.piece is not None or post.late:
            post.losses, post.down_since = post.losses + 1, now
        if post.piece is not None and (post.piece.number != scorer or self.shares[scorer].away):
            self.shares[post.piece.number].give_back(post.piece)
        post.piece, post.late, post.killed, post.reason, post.probe_at = None, False, False, reason, now + _PROBE_S

    def back(self, scorer: int) -> None:
        """A lost scorer answers again."""
        self.posts[scorer].down_since = None

    def next(self, now: float) -> list[Action]:
        """What is to be done now; carrying it out is up to the caller."""
        actions: list[Action] = []
        for number, post in enumerate(self.posts):
            actions += self._own(number, post, now)
        self._cut_slow(now)
        return actions + self._hand_out(now)

    def overdue(self, now: float) -> str:
        """Which shards have not answered, and what is known of their scorers."""
        return ", ".join(self._state(number, now) for number, share in enumerate(self.shares) if not share.done)

    def _own(self, number: int, post: ScorerState, now: float) -> list[Action]:
        """What concerns one scorer and its own share."""
        share = self.shares[number]
        if post.down_since is not None:
            if now < post.probe_at:
                return []
            post.probe_at = float("inf")  # until the probe is answered
            return [Probe(number)]
        if (post.piece or post.late) and not post.killed and now - post.since > self._limits.call_s:
            post.killed = True
            return [Kill(number)]
        if post.piece or share.done or share.away or post.late:
            return []
        return [self._give(number, WorkItem(number), now)]

    def _give(self, scorer: int, piece: WorkItem, now: float) -> Call:
        share, post = self.shares[piece.number], self.posts[scorer]
        again, share.tried = share.tried, share.tried or scorer == piece.number
        share.began = now if share.began is None else share.began
        post.piece, post.since, post.late = piece, now, False
        return Call(scorer, piece, again)

    def _idle(self) -> list[int]:
        free = (share.done or share.away for share in self.shares)
        return [number for number, (post, own) in enumerate(zip(self.posts, free, strict=True)) if post.idle and own]

    def _cut_slow(self, now: float) -> None:
        """Cut the share of a scorer that is lost, late or slow into a piece for each that is idle."""
        limit_s, idle = slow_after_s(self._spans, len(self.posts)), len(self._idle())
        for number, share in enumerate(self.shares):
            if not idle or share.done or share.cut:
                continue
            slow = limit_s is not None and share.began is not None and now - share.began > limit_s
            if slow or (self.posts[number].late and share.began is None):
                share.cut, self.taken_over = True, self.taken_over + 1
                share.free, idle = [WorkItem(number, at, idle) for at in range(idle)], 0

    def _hand_out(self, now: float) -> list[Action]:
        idle, actions = self._idle(), list[Action]()
        for share in self.shares:
            for piece in list(share.free):
                taker = self._taker(share.takers.get(piece), idle)
                if taker is not None:
                    idle.remove(taker)
                    share.free.remove(piece)
                    share.takers[piece] = taker
                    actions.append(self._give(taker, piece, now))
        return actions

    def _taker(self, before: int | None, idle: Sequence[int]) -> int | None:
        """Who is to work on a piece: who did so before, unless it is lost or late; then anybody."""
        if before in idle or not idle:
            return before if before in idle else None
        there = before is not None and self.posts[before].down_since is None and not self.posts[before].late
        return None if there else idle[0]

    def _state(self, number: int, now: float) -> str:
        post = self.posts[number]
        told = f"lost {post.losses} times ({post.reason}), " if post.losses else ""
        if post.down_since is not None:
            return f"scorer-{number} ({told}not back for {now - post.down_since:.0f} s)"
        return f"scorer-{number} ({told}at work for {now - post.since:.0f} s)"
