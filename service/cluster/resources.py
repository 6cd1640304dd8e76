"""What a Ray cluster has, and each scorer's share of it. The one place that calls Ray's untyped functions."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup

from negsift.common.errors import BadInput
from negsift.service.cluster.occupancy import describe_holders, held
from negsift.service.config import FleetConfig

KINDS = ("CPU", "GPU")


def total_resources() -> Mapping[str, float]:
    """All resources of the cluster by name."""
    return dict(ray.cluster_resources())


def nodes() -> Sequence[Mapping[str, Any]]:  # Any: Ray's record of a node
    """All nodes that the cluster has had, the lost ones included."""
    return list(ray.nodes())


def describe_cluster() -> str:
    """The nodes alive and the resources free, for messages."""
    known = nodes()
    alive = sum(node["Alive"] for node in known)
    gone = f", {len(known) - alive} gone" if len(known) > alive else ""
    return f"the cluster has {alive} nodes{gone}, {_free()}"


def describe_room(group: PlacementGroup | None = None) -> str:
    """The CPUs and GPUs that nobody uses now, and who holds the others; those of `group` if there is one."""
    if group is not None:
        return f"the placement group has {_free(f'_group_{group.id.hex()}')}"
    return "; ".join(filter(None, [f"the cluster has {_free()}", describe_holders()]))


def _free(suffix: str = "") -> str:
    free: Mapping[str, float] = ray.available_resources()
    return f"{free.get(f'CPU{suffix}', 0.0):g} CPU and {free.get(f'GPU{suffix}', 0.0):g} GPU free"


def shard_count(resources: Mapping[str, float], config: FleetConfig) -> int:
    """The shards asked for, or one for each GPU of the resources, or one for each core where there is none."""
    return config.shards or max(1, int(resources.get("GPU", 0.0) or resources.get("CPU", 0.0)))


def free_by_node() -> Mapping[str, Mapping[str, float]]:
    """What no actor and no placement group holds of the CPUs and GPUs of each node that is alive, by its id."""
    free = {str(node["NodeID"]): dict(node["Resources"]) for node in nodes() if node["Alive"]}
    for holding in held():
        for kind in KINDS if holding.node in free else ():
            free[holding.node][kind] = free[holding.node].get(kind, 0.0) - holding.amounts.get(kind, 0.0)
    return free


def obtainable_resources() -> Mapping[str, float]:
    """All CPUs and GPUs but those that this program itself holds: the most that it gets if it waits."""
    total, ours = total_resources(), [holding.amounts for holding in held() if holding.is_ours]
    return {kind: total.get(kind, 0.0) - sum(amounts.get(kind, 0.0) for amounts in ours) for kind in KINDS}


def node_names() -> Mapping[str, str]:
    """The host name and the beginning of the id of each node that is alive, by its id."""
    return {node["NodeID"]: f"{node['NodeManagerHostname']} {node['NodeID'][:8]}" for node in nodes() if node["Alive"]}


def scorer_resources(
    have: Mapping[str, float], config: FleetConfig, shards: int, by_node: Sequence[Mapping[str, float]] = (),
    obtainable: Mapping[str, float] | None = None,
) -> tuple[float, float]:  # fmt: skip
    """CPUs and GPUs a scorer: those asked for, else an even share of what they `have`, at most 1 each.

    BadInput for more than is `obtainable`, by default what they have. Of each of the nodes in `by_node` with GPUs it
    takes no larger share of the CPUs than of the GPUs: four scorers on a node of 4 GPUs and 1 CPU take a quarter of it
    each, however many CPUs other nodes have.
    """
    most = have if obtainable is None else obtainable
    cpus = _share_of("CPU", config.cpus_per_shard, have, most, shards)
    gpus = _share_of("GPU", config.gpus_per_shard, have, most, shards)
    if config.cpus_per_shard is None and gpus:
        places = [(node.get("CPU", 0.0), int(node.get("GPU", 0.0) / gpus)) for node in by_node]
        cpus = min([cpus, *(int(1000 * have / scorers) / 1000 for have, scorers in places if scorers)])
    return cpus, gpus


def _share_of(
    kind: str, asked: float | None, have: Mapping[str, float], most: Mapping[str, float], shards: int
) -> float:
    if asked is None:
        return min(1.0, int(1000 * have.get(kind, 0.0) / shards) / 1000)
    if asked * shards > most.get(kind, 0.0):
        raise BadInput(
            f"{shards} scorers of {asked:g} {kind} each on a cluster with {most.get(kind, 0.0):g} for them",
            f"at most {most.get(kind, 0.0):g} {kind} in all",
            f"lower fleet.{kind.lower()}s_per_shard or fleet.shards, or add nodes",
        )
    return asked
