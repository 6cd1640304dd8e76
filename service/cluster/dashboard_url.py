"""Where the dashboard of a cluster is that is named by its own address, found out without joining it."""

import ray._private.ray_constants as constants
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.exceptions import RpcError

from negsift.common.errors import BadInput
from negsift.service.cluster.token import unlock

_ANSWER_S = 5.0
_REMEDY = "start its head with --include-dashboard=true, or give --address=http://HOST:8265"


def dashboard_of(address: str) -> str:
    """The URL of the dashboard of the cluster at HOST:PORT. Raises BadInput where no cluster is, for a token that is
    missing or wrong, and for a cluster without a dashboard.
    """
    unlock(address)
    try:
        found = GcsClient(address=address).internal_kv_get(
            constants.DASHBOARD_ADDRESS.encode(), constants.KV_NAMESPACE_DASHBOARD, timeout=_ANSWER_S
        )
    except RpcError:
        found = None
    if not found:
        raise BadInput(f"no dashboard of the cluster at {address}", "one, which takes the jobs", _REMEDY)
    return f"http://{found.decode()}"
