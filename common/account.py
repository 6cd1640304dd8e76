"""What a selection cost, and what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from negsift.common.repairs import RecoveryCounts


@dataclass(frozen=True)
class Traffic:
    """What a selection cost in messages: rounds, passes over all points, points sent, bytes either way."""

    rounds: int = 0
    passes: int = 0
    points: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Ages:
    """How old the scores that competed were, in epochs since their weights: the oldest, and the chosen ones' mean."""

    oldest: int = 0
    chosen: float = 0.0


@dataclass(frozen=True)
class Account:
    """What a selection cost: bags scored, dropped as not finite, rows filled, calls repeated, messages, seconds by
    stage; the version of the pool, 0 where it is no table; and all that was mended.

    And what it rests on: `considered` bags competed, the pool's or fewer where `candidates` says so, with
    scores of these `ages`; `left_out` is `Picked.left_out`.
    """

    scored: int = 0
    dropped: int = 0
    filled: int = 0
    retries: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    left_out: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    pool_version: int = 0
    repairs: RecoveryCounts = field(default_factory=RecoveryCounts)
    considered: int = 0
    ages: Ages = field(default_factory=Ages)
