"""Rounds on three nodes while processes and nodes are killed or stopped at random moments of a seeded schedule."""

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import get_args

from negsift.service import NegativeSampler, attach
from negsift.service.serving import directory
from tests.cluster.chaos import Burst, Fault, Hit, Kind, Outcome, Record, Where
from tests.cluster.chaos_stream import CALL_S, OPTIONS, RUNS, SCORERS, K, Pool, Stream, ended, repairs
from tests.cluster.nodes import Nodes, three_nodes
from tests.cluster.processes import alive, left_behind, marked, scorers_of
from tests.cluster.serving import eventually

PAUSE_S = CALL_S + 1.5
_COORDINATORS = ("coordinator-", "service-")
_PAUSES = ("pause", "scorer in a pause")
log = logging.getLogger(__name__)


class Strikes:
    """Kills and stops processes and nodes, one at a time."""

    def __init__(self, nodes: Nodes, word: str) -> None:
        self._nodes, self._word = nodes, word

    def strike(self, fault: Fault) -> tuple[Kind, float]:
        """Do what the fault says, or the like where there is nothing of that kind just now; gives what, and when.

        The time of a pause is its end.
        """
        coordinators, scorers = alive(*_COORDINATORS), alive("scorer-")
        victims = scorers if fault.kind == "scorer" else coordinators
        if fault.kind == "node":
            return "node", self._kill_node(fault, {actor["Address"]["NodeID"] for actor in scorers + coordinators})
        if not victims:
            return self.strike(replace(fault, kind="node" if fault.kind == "scorer" else "scorer"))
        pid = victims[int(fault.choice * len(victims))]["Pid"]
        try:
            return fault.kind, self._pause(fault, pid) if fault.kind in _PAUSES else kill(pid)
        except ProcessLookupError:  # it went with its node a moment ago
            return self.strike(fault)

    def strike_starting(self, fault: Fault) -> float:
        """Kill a scorer that is being made or was made just now; gives when."""
        assert eventually(lambda: bool(scorers_of(self._word)))
        pids = scorers_of(self._word)
        try:
            return kill(pids[int(fault.choice * len(pids))])
        except (ProcessLookupError, IndexError):
            return self.strike_starting(fault)

    def _pause(self, fault: Fault, pid: int) -> float:
        """Stop the coordinator for longer than a scorer may take; in the midst of it kill a scorer or don't."""
        pause = threading.Event()
        os.kill(pid, signal.SIGSTOP)
        pause.wait(PAUSE_S / 2)
        if fault.kind == "scorer in a pause":
            self.strike(replace(fault, kind="scorer"))
        pause.wait(PAUSE_S / 2)
        os.kill(pid, signal.SIGCONT)
        return time.monotonic()

    def _kill_node(self, fault: Fault, used: set[str]) -> float:
        """Kill a node, one with actors on it if there is any, and start a new one."""
        holding = [number for number, node in enumerate(self._nodes.others) if node.node_id in used] or [0, 1]
        number, began = holding[int(fault.choice * len(holding))], time.monotonic()
        self._nodes.kill(number)
        self._nodes.replace(number)
        return began


class Chaos:
    """Begins rounds, has them struck in their midst, and keeps the books."""

    def __init__(self, where: Where, stream: Stream, strikes: Strikes) -> None:
        self._where, self._stream, self._strikes = where, stream, strikes
        self._open = list[tuple[Kind, float, bool, bool]]()
        calm = [[self._calm_round() for _ in RUNS] for _ in range(4)]
        self._calm_s = [median(times) for times in zip(*calm[1:], strict=True)]

    def disturb(self, faults: Sequence[Fault]) -> Outcome:
        """One round with these faults in it, begun when all that was killed before is back.

        Behind faults that came too late, and fell between two rounds, there is another round at once.
        """
        eventually(lambda: len(alive("scorer-")) >= SCORERS and bool(alive(*_COORDINATORS)))
        outcome = self._round(faults)
        return outcome + self._round([]) if self._open else outcome

    def _round(self, faults: Sequence[Fault]) -> Outcome:
        calm_s = self._calm_s[self._stream.run]
        with ThreadPoolExecutor(1) as waiter:
            answer = waiter.submit(ended, self._stream.begin())
            for fault in faults:
                over, _ = wait([answer], fault.moment * calm_s)
                self._open.append((*self._strikes.strike(fault), not over, len(faults) == 1))
        selections, end = answer.result()
        done, self._open = [one for one in self._open if one[1] < end], [one for one in self._open if one[1] >= end]
        hits = [Hit(kind, self._where, end - at, calm_s, inside, alone) for kind, at, inside, alone in done]
        return Outcome(hits, len(selections), self._stream.differ(selections), repairs(selections))

    def _calm_round(self) -> float:
        began = time.monotonic()
        selections, end = ended(self._stream.begin())
        assert not self._stream.differ(selections)
        return end - began


def kill(pid: int) -> float:
    """SIGKILL; gives when."""
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


@contextmanager
def service_of(pool: Pool) -> Iterator[NegativeSampler]:
    """A sampler of this program on a shared service."""
    service = directory.start(str(pool.path), "chaos", OPTIONS)
    with attach("chaos", pool.model, target_label="bird", k=K) as sampler:
        yield sampler
    directory.stop("chaos")
    del service  # it would have ended with its handle


class StartChaos:
    """Starts samplers whose scorers are killed before the start is done."""

    def __init__(self, pool: Pool, here: NegativeSampler, strikes: Strikes) -> None:
        self._pool, self._here, self._strikes = pool, here, strikes
        began = time.monotonic()
        pool.sampler(fleet="ray").close()
        self._calm_s = time.monotonic() - began

    def disturb(self, faults: Sequence[Fault]) -> Outcome:
        """One start, and the first selection."""
        with ThreadPoolExecutor(1) as waiter:
            start, struck = waiter.submit(self._pool.sampler, fleet="ray"), list[tuple[float, bool]]()
            for fault in faults:
                over, _ = wait([start], fault.moment * self._calm_s)
                struck.append((self._strikes.strike_starting(fault), not over))
        with start.result() as sampler:
            stream = Stream(self._pool, sampler, self._here)
            selections, end = ended(stream.begin())
        alone = len(faults) == 1
        hits = [Hit("scorer", "start", end - at, self._calm_s, inside, alone) for at, inside in struck]
        return Outcome(hits, 1, stream.differ(selections), repairs(selections))


@contextmanager
def opened(where: Where, pool: Pool, here: NegativeSampler, strikes: Strikes) -> Iterator[Chaos | StartChaos]:
    """What is to be disturbed there."""
    if where == "start":
        yield StartChaos(pool, here, strikes)
        return
    with pool.sampler(fleet="ray") if where == "sampler" else service_of(pool) as there:
        yield Chaos(where, Stream(pool, there, here), strikes)


def run_part(part: Sequence[Burst], chaos: Chaos | StartChaos, until: float, record: Record) -> None:
    """The bursts of one kind of place, while there is time."""
    for burst in part:
        if (began := time.monotonic()) < until:
            outcome = chaos.disturb(burst.faults)
            record.add(burst.number, replace(outcome, seconds=time.monotonic() - began))
            total = record.total
            log.info(
                "%s %d: %d faults so far, %d different", burst.where, burst.number, len(total.hits), total.different
            )


def run_chaos(bursts: Sequence[Burst], limit_s: float, record: Record) -> Outcome:
    """Do the bursts that the record doesn't have, while there is time, and look for what is left of all processes."""
    until, left = time.monotonic() + limit_s, [burst for burst in bursts if burst.number not in record.outcomes]
    with marked() as word, tempfile.TemporaryDirectory() as folder:
        pool = Pool(Path(folder))
        with three_nodes() as nodes, pool.sampler(fleet="local", shards=1) as here:
            for where in get_args(Where):
                part = [burst for burst in left if burst.where == where]
                if part and time.monotonic() < until:
                    with opened(where, pool, here, Strikes(nodes, word)) as chaos:
                        run_part(part, chaos, until, record)
        record.add(bursts[-1].number, Outcome(left=left_behind(word)))
    return record.total
