"""What a Ray cluster has, and each scorer's share of it. The one place that calls Ray's untyped functions."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from negsift.common.errors import BadInput
from negsift.service.config import FleetConfig


def total_resources() -> Mapping[str, float]:
    """All resources of the cluster by name."""
    resources: Mapping[str, float] = ray.cluster_resources()
    return resources


def free_resources() -> Mapping[str, float]:
    """The resources that nobody uses now."""
    resources: Mapping[str, float] = ray.available_resources()
    return resources


def nodes() -> Sequence[Mapping[str, Any]]:  # Any: Ray's record of a node
    """All nodes that the cluster has had, the lost ones included."""
    records: Sequence[Mapping[str, Any]] = ray.nodes()
    return records


def describe_cluster() -> str:
    """The nodes alive and the resources free, for messages."""
    known, free = nodes(), free_resources()
    alive = sum(node["Alive"] for node in known)
    gone = f", {len(known) - alive} gone" if len(known) > alive else ""
    return f"the cluster has {alive} nodes{gone}, {free.get('CPU', 0.0):g} CPU and {free.get('GPU', 0.0):g} GPU free"


def shard_count(resources: Mapping[str, float], config: FleetConfig) -> int:
    """The shards asked for, or one for each GPU of the cluster, or one for each core where it has no GPU."""
    return config.shards or max(1, int(resources.get("GPU", 0.0) or resources.get("CPU", 0.0)))


def scorer_resources(resources: Mapping[str, float], config: FleetConfig, shards: int) -> tuple[float, float]:
    """CPUs and GPUs of each scorer: those asked for, else an even share of the cluster's, at most one of each.

    Raises BadInput if the cluster has less than was asked for.
    """
    asked = {"CPU": config.cpus_per_shard, "GPU": config.gpus_per_shard}
    for kind, each in asked.items():
        if each is not None and each * shards > resources.get(kind, 0.0):
            raise BadInput(
                f"{shards} scorers of {each:g} {kind} each on a cluster with {resources.get(kind, 0.0):g}",
                f"at most {resources.get(kind, 0.0):g} {kind} in all",
                f"lower --set fleet.{kind.lower()}s_per_shard or --set fleet.shards, or add nodes",
            )
    even = {kind: min(1.0, int(1000 * resources.get(kind, 0.0) / shards) / 1000) for kind in asked}
    cpus, gpus = (even[kind] if each is None else each for kind, each in asked.items())
    return cpus, gpus
