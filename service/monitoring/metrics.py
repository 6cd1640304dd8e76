"""What a service reports: metrics for Prometheus through Ray, and a line of log for each round.

Ray exports the metrics as `ray_negsift_…`, counters with `_total` appended.
"""

import logging
from dataclasses import asdict

from ray.util.metrics import Counter, Gauge

from negsift.common.types import Selection
from negsift.service.monitoring.round_stats import RoundStats

log = logging.getLogger(__name__)

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "negsift_rounds": ("rounds finished", ("task",)),
    "negsift_rounds_failed": ("rounds that ended with an error", ("task", "kind")),
    "negsift_bags_scored": ("bags of the pool scored", ("task",)),
    "negsift_bags_dropped": ("bags left out, their scores not finite", ("task",)),
    "negsift_stage_seconds": ("seconds spent, by stage of a round", ("task", "stage")),
    "negsift_retries": ("calls repeated because a scorer was gone", ("task",)),
    "negsift_repaired_shards": ("recoveries: restarts, hung, taken_over, moved, coordinator", ("task", "kind")),
}
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "negsift_weights_version": ("version of the weights that scored last", ("task",)),
    "negsift_staleness": ("epochs between those weights and the epoch chosen for", ("task",)),
    "negsift_wait_seconds": ("seconds the last round waited for other tasks", ("task",)),
    "negsift_publish_lag_seconds": ("seconds until the last weights were checked and with the service", ("task",)),
    "negsift_selection_overlap": ("share of the last picks that were picked the time before", ("task",)),
    "negsift_pool_coverage": ("share of the pool picked so far", ("task",)),
    "negsift_pool_version": ("version of the pool scored last", ("task",)),
    "negsift_shard_memory_bytes": ("resident memory of a scorer", ("shard",)),
    "negsift_shard_kept_bytes": ("embeddings that a scorer keeps", ("shard",)),
}


class ServiceMetrics:
    """The metrics of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._counters = {name: Counter(name, line, ("service", *tags)) for name, (line, tags) in COUNTERS.items()}
        self._gauges = {name: Gauge(name, line, ("service", *tags)) for name, (line, tags) in GAUGES.items()}

    def round(self, task: str, selection: Selection, stats: RoundStats) -> None:
        """A round that is finished, already part of its task's stats."""
        account, recoveries = selection.account, asdict(selection.account.recovery)
        retries = recoveries.pop("retries")  # these are calls, the others shards
        counts = {"rounds": 1, "bags_scored": account.scored, "bags_dropped": account.dropped, "retries": retries}
        for name, count in counts.items():
            self._count(name, count, task=task)
        for kind, count in recoveries.items():
            self._count("repaired_shards", count, task=task, kind=kind)
        for stage, seconds in account.seconds.items():
            self._count("stage_seconds", seconds, task=task, stage=stage)
        shown: dict[str, float] = {
            "weights_version": selection.version, "staleness": stats.behind, "wait_seconds": stats.lags.wait_s,
            "publish_lag_seconds": stats.lags.publish_s, "selection_overlap": stats.overlap,
            "pool_coverage": stats.covered, "pool_version": account.pool_version,
        }  # fmt: skip
        for name, value in shown.items():
            self._show(name, value, task=task)
        self.log_event("round", task=task, epoch=stats.epoch, k=len(selection.index), scored=account.scored, **shown)

    def failed(self, task: str, error: BaseException) -> None:
        """A round that ended with an error."""
        self._count("rounds_failed", 1, task=task, kind=type(error).__name__)
        self.log_event("round-failed", task=task, kind=type(error).__name__, error=" ".join(str(error).split()))

    def shard(self, name: str, memory_bytes: int, kept_bytes: int) -> None:
        """The memory that a scorer takes, and how much of it is embeddings."""
        self._show("shard_memory_bytes", memory_bytes, shard=name)
        self._show("shard_kept_bytes", kept_bytes, shard=name)

    def log_event(self, event: str, **facts: object) -> None:
        """A line of log in key=value form; the facts also lie on the record, for logs in JSON."""
        words = [f"{name}={_short(value)}" for name, value in {"service": self._service, **facts}.items()]
        log.info("%s %s", event, " ".join(words), extra={"negsift": {"event": event, **facts}})

    def _count(self, name: str, value: float, **tags: str) -> None:
        if value > 0:  # Ray takes no other
            self._counters[f"negsift_{name}"].inc(value, {"service": self._service, **tags})

    def _show(self, name: str, value: float, **tags: str) -> None:
        self._gauges[f"negsift_{name}"].set(value, {"service": self._service, **tags})


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text else text
