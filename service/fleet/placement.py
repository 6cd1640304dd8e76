"""Where scorers find room: each goes to the node that holds the fewest, among those with room, as Ray spreads them."""

from collections.abc import Mapping

from negsift.service.fleet.rebalance import room_for


def placed(free: Mapping[str, Mapping[str, float]], needs: tuple[float, float], count: int) -> Mapping[str, int]:
    """The number of scorers of `needs` (CPUs, GPUs) on each node, by what is `free` there; all `count` if they fit."""
    room = {node: room_for(resources, needs) for node, resources in free.items()}
    found = dict.fromkeys(free, 0)
    for _ in range(count):
        open_nodes = [node for node in found if found[node] < room[node]]
        if not open_nodes:
            return found
        found[min(open_nodes, key=lambda node: found[node])] += 1
    return found
