"""What a selection cost, what it rests on, and which failures were recovered from on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Traffic:
    """Messages of a selection: rounds, passes over all points, points sent, and bytes in both directions."""

    rounds: int = 0
    passes: int = 0
    points: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Ages:
    """Ages of the scores that competed, in epochs since their weights: the oldest, and the mean of those chosen."""

    oldest: int = 0
    chosen: float = 0.0


@dataclass(frozen=True)
class RecoveryCounts:
    """How often a round recovered: calls repeated, scorers found restarted, hung scorers ended, shards taken over
    from slow or lost scorers, scorers moved to a node that joined late, and restarts of the coordinator.
    """

    retries: int = 0
    restarts: int = 0
    hung: int = 0
    taken_over: int = 0
    moved: int = 0
    coordinator: int = 0

    def __add__(self, other: "RecoveryCounts") -> "RecoveryCounts":
        return RecoveryCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def any(self) -> bool:
        """Whether anything failed."""
        return self != RecoveryCounts()


@dataclass(frozen=True)
class Account:
    """Costs and grounds of a selection.

    `scored` bags went through the model in this round, `dropped` had a score that is not finite, `filled`
    picks were drawn after every point left coincided with a pick. `considered` bags competed, with scores
    of these `ages`; `left_out` is `Picked.left_out`. `seconds` are by stage, `pool_version` is the bag
    table's version, 0 for a pool that is no table. Blocks have `block` bags, 0 where another program's
    service decides that. `guarded` is the number of bags that each guard in force removed.
    """

    scored: int = 0
    dropped: int = 0
    filled: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    left_out: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    pool_version: int = 0
    recovery: RecoveryCounts = field(default_factory=RecoveryCounts)
    considered: int = 0
    ages: Ages = field(default_factory=Ages)
    block: int = 0
    guarded: Mapping[str, int] = field(default_factory=dict)
