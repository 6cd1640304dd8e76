"""Where a cluster is watched: Ray's dashboard, the metrics of each node, and how Prometheus finds them."""

from collections.abc import Mapping

from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE
from ray._private.worker import get_dashboard_url, global_worker

from negsift.service.cluster.resources import nodes

_ANSWER_S = 5.0
_NONE = "none: start the head with --include-dashboard=true, or set fleet.dashboard=true"


def places() -> Mapping[str, str]:
    """Addresses by what is there; a cluster without a dashboard says how to have one."""
    url: str | None = get_dashboard_url()  # type: ignore[no-untyped-call]  # Ray's own
    found = {"dashboard and jobs": f"http://{url}" if url else _NONE}
    for node in nodes():
        if node["Alive"]:
            address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
            found[f"metrics of {node['NodeManagerHostname']}"] = address
    return found | {"for Prometheus": f"{PROMETHEUS_SERVICE_DISCOVERY_FILE} in {_head_folder()} of the head"}


def _head_folder() -> str:
    """The `--temp-dir` of the cluster's head, by Ray's record of it."""
    client = global_worker.gcs_client  # type: ignore[attr-defined]  # set where Ray connects
    records = client.get_all_node_info(timeout=_ANSWER_S).values()
    return next((str(node.temp_dir) for node in records if node.is_head_node and node.temp_dir), "the --temp-dir")
