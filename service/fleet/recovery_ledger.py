"""Failures counted so far, kept where a restarted coordinator finds them: none is lost with it, none counted twice."""

import pickle
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Literal

from negsift.common.account import RecoveryCounts

_ROUNDS_KEPT = 32
_RECORD = "recovery"


@dataclass(frozen=True)
class Incarnation:
    """An actor, and how often it had been restarted when this process of it began."""

    actor: str
    restarts: int


class RecoveryLedger:
    """The recovery counts of the last rounds, and which restarts were counted, written to `records` at each failure.

    A round that Ray repeats has the same name, and goes on counting where its last attempt was cut off. A restart is
    known by its number, so it is counted in one round only. Undisturbed rounds write nothing.
    """

    def __init__(self, records: MutableMapping[str, bytes]) -> None:
        self._records, self._round = records, ""
        self._restarts: dict[str, int] = {}
        self._counts: dict[str, RecoveryCounts] = {}
        if (record := records.get(_RECORD)) is not None:
            self._restarts, self._counts = pickle.loads(record)

    def begin(self, round_name: str) -> None:
        """What is counted from now on belongs to that round."""
        self._round = round_name

    @property
    def counts(self) -> RecoveryCounts:
        """The failures that the round recovered from so far, in all its attempts."""
        return self._counts.get(self._round, RecoveryCounts())

    def add(self, counts: RecoveryCounts) -> None:
        """Count failures."""
        if counts.any:
            self._counts[self._round] = self.counts + counts
            for old in list(self._counts)[:-_ROUNDS_KEPT]:
                del self._counts[old]
            self._records[_RECORD] = pickle.dumps((self._restarts, self._counts))

    def meet(self, incarnation: Incarnation, kind: Literal["restarts", "coordinator"] = "restarts") -> None:
        """Count the restarts of an actor that weren't counted yet."""
        restarts = incarnation.restarts - self._restarts.get(incarnation.actor, 0)
        self._restarts[incarnation.actor] = incarnation.restarts
        self.add(RecoveryCounts(**{kind: restarts}))
