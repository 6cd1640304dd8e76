"""Faults of a seeded schedule, what came of each, and the record by which an interrupted run goes on."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

Kind = Literal["scorer", "coordinator", "node", "pause", "scorer in a pause"]
Where = Literal["sampler", "service", "start"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_MIX: list[Kind] = ["scorer", "coordinator", "scorer", "pause", "scorer", "node", "scorer", "scorer in a pause"]
_SIZES = (1, 1, 2, 1, 1, 3, 1, 4)


@dataclass(frozen=True)
class Fault:
    """What to kill or stop, and how far into an undisturbed round; `choice` in [0, 1) says which one."""

    kind: Kind
    moment: float
    choice: float


@dataclass(frozen=True)
class Burst:
    """Faults of one round of a sampler or of the shared service, or of one start of a sampler."""

    number: int
    where: Where
    faults: Sequence[Fault]


@dataclass(frozen=True)
class Hit:
    """A fault that was done, and the seconds until the selection of its round, or of the next one behind it.

    `calm_s` is what an undisturbed round takes; the fault was `alone` in its round or one of several.
    """

    kind: Kind
    where: Where
    recovery_s: float
    calm_s: float
    in_round: bool
    alone: bool


@dataclass
class Outcome:
    """Faults, rounds and seconds so far; what differed, what was recovered from, processes left at the end."""

    hits: list[Hit] = field(default_factory=list)
    rounds: int = 0
    different: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.hits + other.hits, self.rounds + other.rounds, self.different + other.different,
            self.repairs + other.repairs, self.left + other.left, self.seconds + other.seconds,
        )  # fmt: skip


def schedule(count: int, seed: int) -> Sequence[Burst]:
    """So many faults: a tenth of them while scorers start, a sixth of the others in the shared service."""
    random, starts = np.random.default_rng(seed), count // 10
    kinds: list[Kind] = (_MIX * count)[: count - starts]
    mixed = [kinds[at] for at in random.permutation(len(kinds))]
    served = len(mixed) // 6
    parts: list[tuple[Where, list[Kind]]] = [
        ("sampler", mixed[served:]), ("start", ["scorer"] * starts), ("service", mixed[:served]),
    ]  # fmt: skip
    drawn = [(where, [Fault(kind, random.uniform(0.0, 1.1), random.uniform()) for kind in all]) for where, all in parts]
    groups = [(where, group) for where, faults in drawn for group in grouped(faults)]
    return [Burst(number, where, group) for number, (where, group) in enumerate(groups)]


def grouped(faults: Sequence[Fault]) -> Iterator[Sequence[Fault]]:
    """The faults in groups of one to four, five of eight groups alone."""
    left, sizes = list(faults), itertools.cycle(_SIZES)
    while left:
        size = next(sizes)
        yield left[:size]
        left = left[size:]


class Record:
    """A file with a line for what came of a burst; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path, self.outcomes = path, dict[int, Outcome]()
        for burst, outcome in map(json.loads, path.read_text().splitlines() if path and path.exists() else []):
            hits, repairs = [Hit(**hit) for hit in outcome.pop("hits")], Counter(outcome.pop("repairs"))
            self._add(burst, Outcome(hits, repairs=repairs, **outcome))

    def add(self, burst: int, outcome: Outcome) -> None:
        """Note what came of a burst, or more that did."""
        self._add(burst, outcome)
        if self._path:
            with self._path.open("a") as file:
                file.write(json.dumps([burst, vars(outcome) | {"hits": [asdict(hit) for hit in outcome.hits]}]) + "\n")

    @property
    def total(self) -> Outcome:
        """All bursts together."""
        return sum(self.outcomes.values(), Outcome())

    def _add(self, burst: int, outcome: Outcome) -> None:
        self.outcomes[burst] = self.outcomes.get(burst, Outcome()) + outcome
