"""What a Ray cluster has, and each scorer's share of it. The one place that calls Ray's untyped functions."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.util.placement_group import PlacementGroup

from negsift.common.errors import BadInput
from negsift.service.cluster.occupancy import describe_holders, held
from negsift.service.config import FleetConfig
from negsift.service.fleet.even_share import even_share
from negsift.service.fleet.rebalance import room_for

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


def unused_by_node() -> Sequence[Mapping[str, float]]:
    """What Ray has left to give on each node, by what nodes last reported."""
    left: Mapping[str, Mapping[str, float]] = available_resources_per_node()
    return list(left.values())


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
    """CPUs and GPUs a scorer: those asked for, else an even share of what the nodes have with which all find room.

    `by_node` is what each node has, by default one that has all they `have`. BadInput for more than is `obtainable`, by
    default what they have.
    """
    most = have if obtainable is None else obtainable
    asked = (config.cpus_per_shard, config.gpus_per_shard)
    for kind, amount in zip(KINDS, asked, strict=True):
        if amount is not None:
            _require_room(kind, amount, most, shards)
    return even_share(by_node or [have], asked, shards)


def _require_room(kind: str, amount: float, most: Mapping[str, float], shards: int) -> None:
    total = {kind: most.get(kind, 0.0)}
    holds = room_for(total, (amount, 0.0) if kind == "CPU" else (0.0, amount))
    if shards > holds:
        raise BadInput(
            f"{shards} scorers of {amount:g} {kind} each on a cluster with {total[kind]:g} for them",
            f"at most {total[kind]:g} {kind} in all, which is room for {holds:g}",
            f"lower fleet.{kind.lower()}s_per_shard or fleet.shards, or add nodes",
        )
