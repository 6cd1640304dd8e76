"""Strategies that end or halt a process at a known moment of a round, so that no test depends on timing."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from negsift.common.types import Picked, Round
from negsift.common.weights import Weights
from negsift.service import NegativeSampler
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.base import PoolView, Prepared
from tests.cluster.serving import eventually


def await_calm(sampler: NegativeSampler, weights: Weights) -> None:
    """Run rounds until one needs no recovery: killed scorers are back, slow ones are done."""
    usual = sampler.sibling("entropy", k=1)
    assert eventually(lambda: not usual.select(weights, 0).account.recovery.any)


def is_first(marker: Path) -> bool:
    """Whether nobody was here before; the marker says so from now on."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def die_once(marker: Path) -> None:
    """Kill this process, without a word, unless the marker says that it has happened."""
    if is_first(marker):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class LastBadge(Badge):
    """Kills the coordinator, once, when it has the picks and nobody else does."""

    marker: Path = Path()

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        picked = super().pick(view, prepared, round)
        die_once(self.marker)
        return picked


@dataclass(frozen=True)
class HaltedBadge(Badge):
    """Makes the marker and waits for ever, once, where the coordinator would pick."""

    marker: Path = Path()

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        if is_first(self.marker):
            threading.Event().wait()
        return super().pick(view, prepared, round)
