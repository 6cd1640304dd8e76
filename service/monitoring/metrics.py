"""What a service reports: series for Prometheus, and a line of log for each round. No Ray in it."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict

from negsift.common.account import Account
from negsift.common.errors import BadInput, NegsiftError
from negsift.common.types import Selection
from negsift.service.monitoring.exporter import Exporter
from negsift.service.monitoring.round_stats import RoundStats

log = logging.getLogger(__name__)

IDLE_S = 3600.0
"""A task without a round for so long is taken to be over; a program may die without a word."""
STAGES = ("score", "prepare", "merge")
KINDS = ("input", "service", "raised")
"""Kinds of failures: the caller's input, the service itself, and what the model or the pool raises."""


class ServiceMetrics:
    """The metrics of one service, by task. `clock` gives monotonic seconds."""

    def __init__(self, service: str, exporter: Exporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._exporter, self._clock = service, exporter, clock
        self._used, self._strategies = dict[str, float](), dict[str, str]()
        self._lock = threading.RLock()  # a task may be forgotten while a round of it runs
        exporter.watch(self._end_idle)

    def begin(self, task: str, strategy: object, staleness: int | None) -> None:
        """Have a task's totals begin at 0, unless they have begun; `staleness` is its limit, if it has one."""
        name = strategy_name(strategy)
        with self._lock:
            if self._strategies.get(task, name) != name:
                self.end(task)
            known, self._used[task], self._strategies[task] = task in self._used, self._clock(), name
            if known:
                return
            self._count(task, Account(), rounds=0)
            for kind in KINDS:
                self._add(task, "rounds_failed", kind=kind)
            self._set(task, "last_round_timestamp_seconds", time.time())
            if staleness is not None:
                self._set(task, "staleness_limit_epochs", staleness)

    def end(self, task: str) -> None:
        """Forget a task; its series go away."""
        with self._lock:
            self._used.pop(task, None)
            self._strategies.pop(task, None)
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
            if task in self._strategies:
                self._used[task] = self._clock()
                self._count(task, account, rounds=1)
                for name, value in {**shown, "last_round_timestamp_seconds": time.time()}.items():
                    self._set(task, name, value)
        stages = {f"{stage}_seconds": seconds for stage, seconds in account.seconds.items()}
        self.log_event("round", task=task, k=len(selection.index), scored=account.scored, **shown, **stages)

    def failed(self, task: str, error: BaseException) -> None:
        """A round that ended with an error; of a task that has not begun it is told, but not counted."""
        with self._lock:
            if task in self._strategies:
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

    def _end_idle(self) -> None:
        with self._lock:
            idle = [task for task, used in self._used.items() if self._clock() - used > IDLE_S]
        for task in idle:
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
        return {"service": self._service, "task": task, "strategy": self._strategies[task]}


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
