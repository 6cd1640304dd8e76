"""Where a cluster is watched: Ray's dashboard, the metrics of each node, and how Prometheus finds them."""

from collections.abc import Mapping

from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE
from ray._private.worker import get_dashboard_url

from negsift.service.cluster.resources import nodes

_NONE = "none: start the head with --include-dashboard=true, or set fleet.dashboard=true"


def places() -> Mapping[str, str]:
    """Addresses by what is there; a cluster without a dashboard says how to have one."""
    url: str | None = get_dashboard_url()  # type: ignore[no-untyped-call]  # Ray's own
    found = {"dashboard and jobs": f"http://{url}" if url else _NONE}
    for node in nodes():
        if node["Alive"]:
            address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
            found[f"metrics of {node['NodeManagerHostname']}"] = address
    return found | {"for Prometheus": f"{PROMETHEUS_SERVICE_DISCOVERY_FILE} in the head's --temp-dir (/tmp/ray)"}
