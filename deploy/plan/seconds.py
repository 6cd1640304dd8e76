"""Seconds of a round and of an epoch, from the rates of a scorer and of the trainer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from negsift.deploy.plan.answers import AnswerKind, Answers, Streaming
from negsift.deploy.plan.workload import Rounds, Workload

_POINT_S, _COLUMN_S, _PAIR_S = 4e-8, 1.5e-10, 3.5e-11
"""Seconds of one thread that D² sampling takes for a point, for each of its numbers, and for each number of each pair
of picks: fitted to tests/bench/kmeanspp_paired.md, with numba.
"""
_ROUND_S, _REQUEST_S = 0.02, 0.01
"""Seconds that a round and each request of it take on Ray beside the work: tests/bench/plan.md."""
_DRAW_REQUESTS = 12  # of D² sampling on shards: tests/bench/kmeanspp_traffic.md
_MOST_SCORERS = 1 << 20


@dataclass(frozen=True)
class Rates:
    """Bags a second: of one scorer (locally, of the process) whose bags are in memory, on disk decoded, or in a table;
    of training; and of the trainer's whole device in evaluation.
    """

    memory: float
    disk: float
    store: float
    train: float
    device: float


@dataclass(frozen=True)
class EpochSeconds:
    """Seconds of a round by part, of training and of validation; `wait` is what an epoch waits for its negatives."""

    parts: Mapping[str, float]
    train: float
    validate: float
    wait: float

    @classmethod
    def of(cls, parts: Mapping[str, float], rounds: Rounds, train: float, validate: float) -> "EpochSeconds":
        """The epoch around a round: one after the other, or side by side where weights may be stale."""
        whole = sum(parts.values())
        wait = max(0.0, whole - train) if rounds.staleness else whole
        return cls(parts, train, validate, wait / rounds.every)

    @property
    def round(self) -> float:
        """All parts of the round."""
        return sum(self.parts.values())

    @property
    def share(self) -> float:
        """The share of the epoch that is spent waiting for the selection."""
        return self.wait / (self.wait + self.train + self.validate)


def round_parts(work: Workload, rates: Rates) -> Mapping[str, float]:
    """The seconds of a round by what takes them. Shards of one process are asked one after the other."""
    answers, held, machines, rounds = Answers.of(work), Streaming.of(work), work.machines, work.rounds
    at_once, in_turn = (machines.scorers, 1) if machines.on_ray else (1, machines.scorers)
    busiest = work.scored if machines.on_ray else rounds.scored
    read = held.on_disk * _extra(rates.disk, rates.memory) + held.in_store * _extra(rates.store, rates.memory)
    again = 0.0
    if answers.kind is AnswerKind.FILTERED:
        again = max(0.0, busiest - in_turn * work.cache_bytes / work.sizes.embedded)
    return {
        "scoring": busiest / rates.memory,
        "reading": in_turn * held.touched * read,
        "learning": rounds.also / at_once / rates.memory,
        "scoring again": again / rates.memory,
        "drawing": draw_seconds(answers, work, at_once),
        "messages": (_ROUND_S + _REQUEST_S * _requests(answers, rounds)) if machines.on_ray else 0.0,
    }


def draw_seconds(answers: Answers, work: Workload, at_once: int) -> float:
    """Seconds of exact D² sampling among the points, on one thread, or on that of each of the shards `at_once`."""
    if not answers.points:
        return 0.0
    each, columns = answers.points / (1 if answers.gathered else at_once), work.sizes.columns
    return each * (_POINT_S + _COLUMN_S * columns) + _PAIR_S * float(work.rounds.picks) ** 2 * columns


def scorers_needed(seconds_with: Callable[[int], float], limit: float) -> int | None:
    """The fewest scorers with which a round takes at most `limit` seconds; None if no number does."""
    low, high = 0, 1
    while seconds_with(high) > limit:
        low, high = high, 2 * high
        if high > _MOST_SCORERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if seconds_with(middle) > limit else (low, middle)
    return high


def _extra(rate: float, memory: float) -> float:
    """The seconds a bag takes beyond one in memory."""
    return max(0.0, 1 / rate - 1 / memory)


def _requests(answers: Answers, rounds: Rounds) -> int:
    learning = int(rounds.also > 0)
    if answers.kind is AnswerKind.TOP_K:
        return 1 + learning
    if answers.kind is AnswerKind.CANDIDATES:
        return 2
    return (1 if answers.gathered else _DRAW_REQUESTS) + 1 + int(answers.kind is AnswerKind.FILTERED)
