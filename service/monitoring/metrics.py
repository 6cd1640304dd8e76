"""What a service reports: series for Prometheus, and a line of log for each round. No Ray in it."""

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from negsift.common.account import Account
from negsift.common.errors import BadInput, NegsiftError
from negsift.common.types import Selection
from negsift.service.monitoring.exporter import Exporter
from negsift.service.monitoring.live_task import LiveTask
from negsift.service.monitoring.round_stats import RoundStats

log = logging.getLogger(__name__)

STAGES = ("score", "prepare", "merge")
KINDS = ("input", "service", "raised")
"""Kinds of failures: the caller's input, the service itself, and what the model or the pool raises."""


class ServiceMetrics:
    """The metrics of one service, by task.

    `ended` gives those of some programs that have ended: a task of which none is left goes away, as one that is told to
    end. `clock` gives monotonic seconds.
    """

    def __init__(
        self, service: str, exporter: Exporter, ended: Callable[[Collection[str]], Collection[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._service, self._exporter, self._ended, self._clock = service, exporter, ended, clock
        self._tasks = dict[str, LiveTask]()
        self.lost = set[str]()
        """The tasks whose programs have all ended without a word, and that no other has taken up since."""
        self._lock = threading.RLock()  # a task may be forgotten while a round of it runs
        exporter.add("negsift_tasks_lost_total", service=service)
        exporter.watch(self._end_lost)

    def begin(self, task: str, strategy: object, staleness: int | None) -> None:
        """Have a task's totals begin at 0, unless they have begun; `staleness` is its limit, if it has one."""
        name = strategy_name(strategy)
        with self._lock:
            self.lost.discard(task)
            if task in self._tasks and self._tasks[task].strategy != name:
                self.end(task)
            if task in self._tasks:
                return
            self._tasks[task] = LiveTask(name, self._clock())
            self._count(task, Account(), rounds=0)
            for kind in KINDS:
                self._add(task, "rounds_failed", kind=kind)
            self._set(task, "last_round_timestamp_seconds", time.time())
            if staleness is not None:
                self._set(task, "staleness_limit_epochs", staleness)

    @contextmanager
    def under_way(self, task: str, strategy: object, staleness: int | None, program: str | None) -> Iterator[None]:
        """Within it, a round of the task, which begins if it has not, is under way; `program` asks for it, if known."""
        with self._lock:
            self.begin(task, strategy, staleness)
            live = self._tasks[task]
            live.begin_round(program)
        try:
            yield
        finally:
            with self._lock:
                live.end_round(self._clock())

    def leave(self, program: str, task: str | None = None) -> None:
        """A program asks for no more rounds, or for none of one task; a task that no program is left of ends."""
        with self._lock:
            for name in list(self._tasks) if task is None else [task]:
                if name in self._tasks and self._tasks[name].leave(program):
                    self.end(name)

    def end(self, task: str) -> None:
        """Forget a task; its series go away."""
        with self._lock:
            self.lost.discard(task)
            self._tasks.pop(task, None)
            self._exporter.forget(service=self._service, task=task)

    def round(self, task: str, selection: Selection, stats: RoundStats) -> None:
        """A round that is finished, already part of its task's stats; of a task that was ended meanwhile it is told."""
        account = selection.account
        shown: dict[str, float] = {
            "epoch": stats.epoch, "weights_version": selection.version, "staleness_epochs": stats.behind,
            "wait_seconds": stats.lags.wait_s, "publish_lag_seconds": stats.lags.publish_s,
            "selection_overlap_ratio": stats.overlap, "pool_coverage_ratio": stats.covered,
            "pool_version": account.pool_version,
        }  # fmt: skip
        with self._lock:
            if task in self._tasks:
                self._count(task, account, rounds=1)
                for name, value in {**shown, "last_round_timestamp_seconds": time.time()}.items():
                    self._set(task, name, value)
        stages = {f"{stage}_seconds": seconds for stage, seconds in account.seconds.items()}
        self.log_event("round", task=task, k=len(selection.index), scored=account.scored, **shown, **stages)

    def failed(self, task: str, error: BaseException) -> None:
        """A round that ended with an error; of a task that has not begun it is told, but not counted."""
        with self._lock:
            if task in self._tasks:
                self._add(task, "rounds_failed", 1, kind=_kind(error))
        self.log_event("round-failed", task=task, kind=type(error).__name__, error=" ".join(str(error).split()))

    def scorers(self, up: Iterable[bool]) -> None:
        """Which scorers have a process, in the order of their numbers."""
        for number, is_up in enumerate(up):
            self._exporter.set("negsift_shard_up", int(is_up), service=self._service, shard=f"scorer-{number}")

    def log_event(self, event: str, **facts: object) -> None:
        """A line of log in key=value form; the facts also lie on the record, for logs in JSON."""
        facts = {"service": self._service, **facts}
        words = [f"{name}={_short(value)}" for name, value in facts.items()]
        log.info("%s %s", event, " ".join(words), extra={"negsift": {"event": event, **facts}})

    def _end_lost(self) -> None:
        """Forget the tasks that nobody will ask for again."""
        with self._lock:
            known = {program for live in self._tasks.values() for program in live.programs}
        ended = self._ended(known) if known else ()
        with self._lock:
            for task, live in list(self._tasks.items()):
                if live.is_lost(ended):
                    self._exporter.add("negsift_tasks_lost_total", 1, service=self._service)
                    self.log_event("task-lost", task=task)
                    self.end(task)
                    self.lost.add(task)
                elif live.is_idle(self._clock()):
                    self.end(task)

    def _count(self, task: str, account: Account, rounds: int) -> None:
        counts = {"rounds": rounds, "bags_scored": account.scored, "bags_dropped": account.dropped}
        recoveries = asdict(account.recovery)
        counts["retries"] = recoveries.pop("retries")  # these are calls, the others shards
        for name, count in counts.items():
            self._add(task, name, count)
        for kind, count in recoveries.items():
            self._add(task, "repaired_shards", count, kind=kind)
        for stage, seconds in {**dict.fromkeys(STAGES, 0.0), **account.seconds}.items():
            self._add(task, "stage_seconds", seconds, stage=stage)

    def _add(self, task: str, name: str, value: float = 0.0, **labels: str) -> None:
        self._exporter.add(f"negsift_{name}_total", value, **self._labels(task), **labels)

    def _set(self, task: str, name: str, value: float) -> None:
        self._exporter.set(f"negsift_{name}", value, **self._labels(task))

    def _labels(self, task: str) -> dict[str, str]:
        return {"service": self._service, "task": task, "strategy": self._tasks[task].strategy}


def strategy_name(strategy: object) -> str:
    """The strategy's name as settings have it; of one that isn't negsift's, made from its class in the same way."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(strategy).__name__).lower()


def _kind(error: BaseException) -> str:
    if isinstance(error, BadInput):
        return "input"
    return "service" if isinstance(error, NegsiftError) else "raised"


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text else text
