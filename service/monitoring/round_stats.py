"""Statistics of a task's rounds, in memory that doesn't grow with the pool or with time."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.rng import uniform_keys
from negsift.common.types import Selection

_PLACES = 1 << 20


@dataclass(frozen=True)
class Lags:
    """Seconds that a round waited for others, and seconds until its weights were with the service and checked."""

    wait_s: float = 0.0
    publish_s: float = 0.0


@dataclass
class Coverage:
    """The share of a pool that was ever picked: exact up to a million bags, an estimate by linear counting above.

    (Whang et al., A linear-time probabilistic counting algorithm, 1990.)
    """

    _bits: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_PLACES // 8, dtype=np.uint8))

    def add(self, index: Index, pool: int) -> float:
        """Add a selection; gives the share so far."""
        exact = pool <= _PLACES
        place = index if exact else (uniform_keys(0, index) * _PLACES).astype(np.int64) % _PLACES
        np.bitwise_or.at(self._bits, place >> 3, (1 << (place & 7)).astype(np.uint8))
        taken = int(np.bitwise_count(self._bits).sum())
        count = taken if exact else -_PLACES * np.log(max(1, _PLACES - taken) / _PLACES)
        return float(min(1.0, count / max(1, pool)))


@dataclass
class RoundStats:
    """A task's last round, and totals of all its rounds."""

    rounds: int = 0
    scored: int = 0
    seconds: float = 0.0
    last: Selection | None = None
    epoch: int = 0
    lags: Lags = field(default_factory=Lags)
    overlap: float = 0.0
    covered: float = 0.0
    _coverage: Coverage = field(default_factory=Coverage)

    def add(self, selection: Selection, epoch: int, pool: int, lags: Lags) -> None:
        """Add a round."""
        if self.last is not None:
            common = np.intersect1d(self.last.index, selection.index, assume_unique=True)
            self.overlap = len(common) / max(1, len(selection.index))
        self.rounds += 1
        self.scored += selection.account.scored
        self.seconds = sum(selection.account.seconds.values())
        self.last, self.epoch, self.lags = selection, epoch, lags
        self.covered = self._coverage.add(selection.index, pool)

    @property
    def behind(self) -> int:
        """Epochs between the last round's weights and its epoch."""
        return 0 if self.last is None else self.epoch - self.last.version

    def status(self) -> dict[str, object]:
        """All numbers by name."""
        last = self.last
        return {
            "rounds": self.rounds, "scored": self.scored, "seconds": self.seconds, "epoch": self.epoch,
            "version": None if last is None else last.version, "behind": self.behind, "wait_s": self.lags.wait_s,
            "publish_s": self.lags.publish_s, "overlap": self.overlap, "covered": self.covered,
        }  # fmt: skip
