"""Where scorers and workers find room on the nodes of a cluster, by what nobody uses there."""

from collections.abc import Mapping, Sequence

from negsift.service.fleet.rebalance import room_for

Free = Mapping[str, Mapping[str, float]]
"""What nobody uses, by node and kind."""
Needs = tuple[float, float]
"""CPUs and GPUs of one scorer or worker."""


def placed(free: Free, needs: Needs, count: int) -> Mapping[str, int]:
    """The number of `needs` on each node, as Ray spreads them: each on the node that has the fewest; those that fit."""
    room = {node: room_for(resources, needs) for node, resources in free.items()}
    found = dict.fromkeys(free, 0)
    for _ in range(count):
        open_nodes = [node for node in found if found[node] < room[node]]
        if not open_nodes:
            return found
        found[min(open_nodes, key=lambda node: found[node])] += 1
    return found


def packed(free: Free, needs: Needs, count: int) -> Mapping[str, int]:
    """The same, on as few nodes as there can be: those with the most room come first."""
    room = {node: room_for(resources, needs) for node, resources in free.items()}
    found = dict.fromkeys(free, 0)
    for node in sorted(room, key=lambda node: -room[node]):
        found[node] = int(min(room[node], count - sum(found.values())))
    return found


def less(free: Free, needs: Needs, counts: Mapping[str, int]) -> Free:
    """What is left of `free` once `counts` of `needs` are on each node."""
    kinds = tuple(zip(("CPU", "GPU"), needs, strict=True))
    return {
        node: dict(have) | {kind: have.get(kind, 0.0) - counts[node] * need for kind, need in kinds}
        for node, have in free.items()
    }


def scorers_by_node(free: Free, needs: Needs, count: int) -> Mapping[str, int]:
    """The number of scorers on each node, those with a part of a GPU as `gpu_loads` spreads them; those that fit."""
    if not 0 < needs[1] < 1:
        return placed(free, needs, count)
    found = dict.fromkeys(free, 0)
    for node, load in gpu_loads(free, needs, count):
        found[node] += load
    for node, have in free.items():  # the rest of a GPU that others have a part of
        found[node] += int(min(room_for(have, needs) - found[node], count - sum(found.values())))
    return found


def gpu_loads(free: Free, needs: Needs, count: int) -> Sequence[tuple[str, int]]:
    """How many of `count` scorers that need a part of a GPU each whole GPU has, with its node; those that fit.

    All GPUs have one before any has two, as far as the CPUs of their nodes suffice.
    """
    room = {node: room_for(resources, needs) for node, resources in free.items()}
    gpus = {node: int(resources.get("GPU", 0.0)) for node, resources in free.items()}
    found = dict.fromkeys(free, 0)
    for layer in range(int(room_for({"GPU": 1.0}, (0.0, needs[1])))):
        for _ in range(min(sum(gpus.values()), count - sum(found.values()))):
            open_nodes = [node for node in found if found[node] < min(room[node], (layer + 1) * gpus[node])]
            if open_nodes:
                found[min(open_nodes, key=lambda node: found[node] - layer * gpus[node])] += 1
    return [(node, (found[node] + number) // gpus[node]) for node in free for number in reversed(range(gpus[node]))]
