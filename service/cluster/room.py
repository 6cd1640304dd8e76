"""Where scorers may be: on the whole cluster, or in the placement group that confines this program.

Ray Tune gives each trial such a group. Its scorers stay in it, so that a trial takes no more than it was given, and
nothing of it is left when Tune removes the group.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import ray
from ray.util import get_current_placement_group, placement_group_table
from ray.util.placement_group import PlacementGroup

from negsift.common.errors import BadInput
from negsift.service.cluster.occupancy import amounts_text
from negsift.service.cluster.resources import (
    KINDS,
    free_by_node,
    obtainable_resources,
    scorer_resources,
    total_resources,
)
from negsift.service.config import FleetConfig
from negsift.service.fleet.even_share import even_share
from negsift.service.fleet.rebalance import room_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """The resources that scorers may share, and those of each node, and the most that they get if they wait.

    In a `group` they are those of its bundles that this program itself leaves.
    """

    resources: Mapping[str, float]
    by_node: Sequence[Mapping[str, float]] = ()
    group: PlacementGroup | None = None
    bundles: Sequence[Mapping[str, float]] = ()
    obtainable: Mapping[str, float] | None = None

    @classmethod
    def of(cls, free: Sequence[Mapping[str, float]], obtainable: Mapping[str, float]) -> Self:
        """The room on nodes with so much free; where not a whole CPU or GPU is, scorers count on all that they get."""
        kinds = [kind for kind in KINDS if obtainable.get(kind, 0.0) >= 1]
        if all(any(node.get(kind, 0.0) >= 1 for node in free) for kind in kinds):
            return cls({kind: sum(node.get(kind, 0.0) for node in free) for kind in KINDS}, free, None, (), obtainable)
        return cls(obtainable, (), None, (), obtainable)

    def needs(self, config: FleetConfig, shards: int) -> tuple[float, float]:
        """CPUs and GPUs a scorer, as `scorer_resources`; raises BadInput if that many don't fit."""
        if self.group is None:
            return scorer_resources(self.resources, config, shards, self.by_node, self.obtainable)
        cpus, gpus = even_share(self.bundles, (config.cpus_per_shard, config.gpus_per_shard), shards)
        if sum(room_for(bundle, (cpus, gpus)) for bundle in self.bundles) < shards:
            each = amounts_text({"CPU": cpus, "GPU": gpus})
            raise BadInput(
                f"{shards} scorers of {each} each in a placement group that leaves them {amounts_text(self.resources)}",
                f"{shards} bundles of {each} in the group, beside this program's own",
                "add them (in Ray Tune with PlacementGroupFactory), or lower what a scorer takes or fleet.shards",
            )
        if not cpus and not gpus:
            log.warning("the placement group leaves the scorers nothing: they share this program's cores")
        return cpus, gpus


def find_room() -> Room:
    """The room of scorers that this process starts."""
    group, context = get_current_placement_group(), ray.get_runtime_context()
    if group is None or not context.should_capture_child_tasks_in_placement_group:
        return whole_cluster()
    own: Mapping[str, float] = context.get_assigned_resources()  # type: ignore[no-untyped-call]  # Ray's
    left = bundles_left(_bundles(group), own)
    return Room({kind: sum(bundle.get(kind, 0.0) for bundle in left) for kind in KINDS}, (), group, left)


def whole_cluster() -> Room:
    """The room of a program, or of a service, that nothing confines."""
    return Room.of(list(free_by_node().values()), obtainable_resources())


def room_outside(group: PlacementGroup) -> Mapping[str, float]:
    """What the cluster has outside of a placement group."""
    total, held = total_resources(), _bundles(group)
    return {kind: total.get(kind, 0.0) - sum(bundle.get(kind, 0.0) for bundle in held) for kind in KINDS}


def bundles_left(bundles: Iterable[Mapping[str, float]], own: Mapping[str, float]) -> list[Mapping[str, float]]:
    """What is left of each bundle once the first that can has given room to `own`."""
    left, taken = list[Mapping[str, float]](), False
    for bundle in bundles:
        takes = not taken and all(bundle.get(kind, 0.0) >= own.get(kind, 0.0) for kind in KINDS)
        taken |= takes
        left.append({kind: bundle.get(kind, 0.0) - takes * own.get(kind, 0.0) for kind in KINDS})
    return left


def _bundles(group: PlacementGroup) -> Collection[Mapping[str, float]]:
    table: Mapping[str, Mapping[int, Mapping[str, float]]] = placement_group_table(group)
    return table["bundles"].values()
