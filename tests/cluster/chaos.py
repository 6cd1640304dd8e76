"""A stream of rounds on three nodes while processes and nodes are killed at random moments of a seeded schedule."""

import itertools
import logging
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from negsift.common.types import Selection
from negsift.common.weights import Weights
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.cluster.nodes import Nodes, three_nodes
from tests.unit.toys import vector_model, vectors

Kind = Literal["scorer", "coordinator", "node"]
STRATEGIES = ("entropy", "badge", "svm_margin", "random")
K, SEED, BAGS, SCORERS, VERSIONS = 40, 5, 6000, 4, 3
OPTIONS = FleetConfig(block=64, cache_mb=0, held_mb=0, cpus_per_shard=1.0, deadline_s=240.0, start_s=240.0)
_MARK = "NEGSIFT_CHAOS"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """What to kill, and how far into an undisturbed round; `choice` in [0, 1) says which one."""

    kind: Kind
    moment: float
    choice: float


@dataclass(frozen=True)
class Hit:
    """A fault that was done, and the seconds until the selection of its round, or of the next one behind it."""

    kind: Kind
    recovery_s: float
    in_round: bool


@dataclass
class Outcome:
    """Faults and rounds so far; what differed, what was lost, which processes are left at the end."""

    hits: list[Hit] = field(default_factory=list)
    rounds: int = 0
    different: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)


def schedule(count: int, seed: int) -> Sequence[Fault]:
    """So many faults of all kinds, half of them scorers, a fifth nodes."""
    random = np.random.default_rng(seed)
    kinds: list[Kind] = (["scorer", "coordinator", "scorer", "node", "scorer", "coordinator", "scorer"] * count)[:count]
    return [Fault(kinds[at], random.uniform(0.0, 1.1), random.uniform()) for at in random.permutation(count)]


def bursts(faults: Sequence[Fault]) -> Iterator[Sequence[Fault]]:
    """The faults in groups of one to four, each for a round."""
    left, sizes = list(faults), itertools.cycle((1, 2, 3, 4))
    while left:
        size = next(sizes)
        yield left[:size]
        left = left[size:]


class Stream:
    """Rounds of all strategies in turn, each compared with what one local shard selects."""

    def __init__(self) -> None:
        sizes = np.random.default_rng(SEED).integers(1, 6, BAGS)
        self.pool, self.positives = vectors(sizes.tolist()), vectors([3] * 60, seed=1)
        models = [vector_model(seed=version) for version in range(VERSIONS)]
        self.model, self._weights = models[0], [model.state_dict() for model in models]
        with self.sampler(shards=1, fleet="local") as sampler:
            turns = range(len(STRATEGIES) * VERSIONS)
            self._expected = [self.submit(sampler, turn).result() for turn in turns]

    def sampler(self, **where: Any) -> NegativeSampler:  # Any: NegativeSampler's own
        """A sampler over the pool."""
        return NegativeSampler(self.pool, self.model, k=K, positives=self.positives, options=OPTIONS, **where)

    def submit(self, sampler: NegativeSampler, turn: int) -> Any:  # Any: a Chosen
        """Begin a round."""
        weights: Weights = self._weights[turn % VERSIONS]
        return sampler.sibling(STRATEGIES[turn % len(STRATEGIES)], k=K, seed=SEED).submit(weights, turn % VERSIONS)

    def same(self, turn: int, selection: Selection) -> bool:
        """Whether it is the undisturbed selection, bit for bit."""
        expected = self._expected[turn % len(self._expected)]
        pairs = ((selection.index, expected.index), (selection.score, expected.score))
        return all(np.array_equal(one, other) for one, other in pairs) and selection.version == expected.version


class Chaos:
    """Begins rounds, strikes in their midst, and keeps the books."""

    def __init__(self, nodes: Nodes, stream: Stream, sampler: NegativeSampler) -> None:
        self._nodes, self._stream, self._sampler = nodes, stream, sampler
        self.outcome, self._open = Outcome(), list[tuple[float, Kind, bool]]()
        self._calm_s = [self._calm_round(turn) for turn in range(2 * len(STRATEGIES))][len(STRATEGIES) :]

    def disturb(self, faults: Sequence[Fault]) -> None:
        """One round with these faults in it; those that come too late fall between it and the next."""
        turn = self.outcome.rounds
        with ThreadPoolExecutor(1) as waiter:
            answer = waiter.submit(ended, self._stream.submit(self._sampler, turn))
            for fault in faults:
                over, _ = wait([answer], fault.moment * self._calm_s[turn % len(STRATEGIES)])
                self._open.append((time.monotonic(), self._strike(fault), not over))
        self._count(turn, *answer.result())

    def finish(self) -> None:
        """One more round if the last faults came behind the last one."""
        if self._open:
            self.disturb([])

    def _calm_round(self, turn: int) -> float:
        began = time.monotonic()
        assert self._stream.same(turn, self._stream.submit(self._sampler, turn).result())
        return time.monotonic() - began

    def _count(self, turn: int, selection: Selection, end: float) -> None:
        self.outcome.rounds += 1
        self.outcome.different += not self._stream.same(turn, selection)
        self.outcome.repairs += Counter(vars(selection.account.recovery))
        self.outcome.hits += [Hit(kind, end - struck, inside) for struck, kind, inside in self._open if struck < end]
        self._open = [strike for strike in self._open if strike[0] >= end]
        log.info("round %d: %d faults so far, %d different", turn, len(self.outcome.hits), self.outcome.different)

    def _strike(self, fault: Fault) -> Kind:
        """Kill what the fault says; a scorer where the coordinator is just being restarted."""
        scorers, coordinators = alive("scorer-"), alive("coordinator-")
        if fault.kind == "node":
            self._kill_node(fault, {actor["Address"]["NodeID"] for actor in scorers + coordinators})
            return "node"
        victims = (coordinators if fault.kind == "coordinator" else scorers) or scorers or coordinators
        if not victims:
            return self._strike(replace(fault, kind="node"))
        victim = victims[int(fault.choice * len(victims))]
        try:
            os.kill(victim["Pid"], signal.SIGKILL)
        except ProcessLookupError:  # it went with its node a moment ago
            return self._strike(fault)
        return "coordinator" if victim in coordinators else "scorer"

    def _kill_node(self, fault: Fault, used: set[str]) -> None:
        """Kill a node, one with actors on it if there is any, and start a new one."""
        holding = [number for number, node in enumerate(self._nodes.others) if node.node_id in used] or [0, 1]
        number = holding[int(fault.choice * len(holding))]
        self._nodes.kill(number)
        self._nodes.replace(number)


def ended(pending: Any) -> tuple[Selection, float]:  # Any: a Chosen
    """A selection, and when it was there."""
    selection: Selection = pending.result()
    return selection, time.monotonic()


def alive(prefix: str) -> list[dict[str, Any]]:  # Any: Ray's
    """What the cluster knows of the living actors of such names, by name."""
    from ray._private.state import actors  # the public form needs the dashboard

    found = [actor for actor in actors().values() if actor["State"] == "ALIVE" and actor["Name"].startswith(prefix)]
    return sorted((actor for actor in found if exists(actor["Pid"])), key=lambda actor: str(actor["Name"]))


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


@contextmanager
def marked() -> Iterator[str]:
    """A word in the environment of all processes started from here on."""
    word = uuid.uuid4().hex
    os.environ[_MARK] = word
    try:
        yield word
    finally:
        del os.environ[_MARK]


def left_behind(word: str, patience_s: float = 60.0) -> list[str]:
    """Other processes with that word that don't end by themselves."""
    import psutil
    import ray  # noqa: F401  # brings psutil along

    def has_word(process: Any) -> bool:  # Any: psutil's
        try:
            return process.pid != os.getpid() and process.environ().get(_MARK) == word
        except psutil.Error:
            return False

    _, left = psutil.wait_procs([each for each in psutil.process_iter() if has_word(each)], timeout=patience_s)
    return [str(process) for process in left]


def run_chaos(faults: Sequence[Fault], limit_s: float) -> Outcome:
    """Do the faults, or as many as there is time for, and look for what is left of all processes."""
    with marked() as word:
        stream, until = Stream(), time.monotonic() + limit_s
        with three_nodes() as nodes, stream.sampler(shards=SCORERS, fleet="ray") as sampler:
            chaos = Chaos(nodes, stream, sampler)
            for burst in bursts(faults):
                if time.monotonic() < until:
                    chaos.disturb(burst)
            chaos.finish()
        chaos.outcome.left = left_behind(word)
    return chaos.outcome


def by_kind(hits: Sequence[Hit]) -> Mapping[str, Sequence[float]]:
    """Recovery times, by what was killed."""
    return {kind: [hit.recovery_s for hit in hits if hit.kind == kind] for kind in ("scorer", "coordinator", "node")}
