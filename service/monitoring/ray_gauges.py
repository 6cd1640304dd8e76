"""Series as gauges of Ray, on the metrics port of this process's node."""

from ray.util.metrics import Gauge

from negsift.service.monitoring.catalogue import METRICS
from negsift.service.monitoring.exporter import Exporter


def ray_exporter() -> Exporter:
    """An exporter of this process, which must be connected to Ray; it has started."""
    return Exporter(lambda name: Gauge(name, METRICS[name].about, METRICS[name].labels)).start()
