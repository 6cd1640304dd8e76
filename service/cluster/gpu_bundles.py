"""Placement groups of one bundle each for scorers that need a part of a GPU, spread over the GPUs.

Ray gives a part of a GPU from the one that has the least left, so that four halves take two GPUs and leave the others
idle. A bundle keeps its GPU, also for a scorer that Ray restarts. Bundles have the names of their scorers.
"""

import re
from collections.abc import Sequence

from ray import PlacementGroupID
from ray.util import get_placement_group, placement_group, placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from negsift.service.cluster.resources import free_by_node
from negsift.service.fleet.placement import Needs, gpu_loads

_PLACED_S = 5.0
_LEAST = 1e-3


def reserve_spread(names: Sequence[str], needs: Needs) -> None:
    """A bundle for each name, on a GPU of its own as long as there are such, as far as there is room now.

    Meanwhile the rest of a GPU that has got its bundles is closed, so that Ray takes another one for the next.
    """
    left, closed = list(names), list[PlacementGroup]()
    free = free_by_node()
    try:
        for node, have in free.items():  # a GPU that others have a part of
            closed += _closed(have.get("GPU", 0.0) % 1.0, node)
        for node, load in gpu_loads(free, needs, len(names)):
            for _ in range(load):
                if not reserve(left.pop(), needs, node).wait(_PLACED_S):
                    return  # others were faster: Ray finds room for the rest
            closed += _closed(1.0 - load * needs[1], node) if load else []
    finally:
        for group in closed:
            remove_placement_group(group)


def reserve(name: str, needs: Needs, node: str | None = None) -> PlacementGroup:
    """A bundle of that name; on `node`, or where there is room if that has none or is gone."""
    kinds = zip(("CPU", "GPU"), needs, strict=True)
    bundle = {kind: amount for kind, amount in kinds if amount}
    group: PlacementGroup = placement_group([bundle], "STRICT_PACK", name, _soft_target_node_id=node)
    return group


def bundle_of(name: str, needs: Needs, node: str | None = None) -> PlacementGroup:
    """The bundle that was reserved under a name, else a new one."""
    try:
        found: PlacementGroup = get_placement_group(name)
    except ValueError:
        return reserve(name, needs, node)
    return found


def release(names: re.Pattern[str]) -> None:
    """Give back all bundles with such names."""
    for number, group in placement_group_table().items():
        if names.fullmatch(group["name"]) and group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(number)))


def _closed(amount: float, node: str) -> list[PlacementGroup]:
    """The rest of a GPU, taken; nothing if there is none."""
    if amount < _LEAST:
        return []
    group = placement_group([{"GPU": amount}], "STRICT_PACK", _soft_target_node_id=node)
    group.wait(_PLACED_S)
    return [group]
