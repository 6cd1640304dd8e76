"""Which scorers move to nodes that joined late: a decision, which the scorer group carries out between rounds."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """A scorer, and the node that it moves to."""

    scorer: int
    node: str


def room_for(resources: Mapping[str, float], needs: tuple[float, float]) -> float:
    """The number of scorers of `needs` (CPUs, GPUs) that a node with these resources could hold in all."""
    limits = [resources.get(kind, 0.0) // need for kind, need in zip(("CPU", "GPU"), needs, strict=True) if need]
    return min(limits, default=float("inf"))


def plan_moves(homes: Mapping[int, str], room: Mapping[str, float], new: Collection[str]) -> list[Move]:
    """Moves to the `new` nodes, until none with room holds two scorers fewer than another node.

    `homes` are the nodes of the scorers, `room` the number of scorers that every living node could hold.
    Nothing moves while a scorer's node is dead: the scorer is being restarted, and may come to a new node.
    """
    if not set(homes.values()) <= room.keys():
        return []
    planned, moves = dict(homes), list[Move]()
    while True:
        load = Counter(planned.values())
        free = [node for node in new if load[node] + 1 <= room.get(node, 0.0)]
        if not free or not load:
            return moves
        target = min(free, key=lambda node: (load[node], node))
        source = max(load, key=lambda node: (load[node], node))
        if load[source] - load[target] < 2:
            return moves
        scorer = max(number for number, node in planned.items() if node == source)
        planned[scorer] = target
        moves.append(Move(scorer, target))
