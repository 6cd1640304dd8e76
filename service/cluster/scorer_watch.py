"""Has metrics say, all the time, which scorers have a process: also between rounds, and while a scorer works."""

from contextlib import suppress

from ray.exceptions import RayError

from negsift.service.cluster.actor_records import actor_id, being_restarted
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.monitoring.exporter import Exporter
from negsift.service.monitoring.metrics import ServiceMetrics


def watch_scorers(exporter: Exporter, metrics: ServiceMetrics, group: ScorerGroup) -> None:
    """Look before each export which scorers of this job's group are gone."""

    def look() -> None:
        with suppress(RayError):  # while Ray's head is gone nothing is known of them
            gone = being_restarted()
            metrics.scorers([actor_id(scorer) not in gone for scorer in group.scorers])

    exporter.watch(look)
