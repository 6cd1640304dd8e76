"""Which scorers are to move to nodes that came late: a decision, which `ray_crew` carries out between rounds."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """A scorer and the node it is to move to."""

    scorer: int
    node: str


def room_for(have: Mapping[str, float], needs: tuple[float, float]) -> float:
    """How many scorers of so many CPUs and GPUs a node could hold, if it held nothing else."""
    limits = [have.get(kind, 0.0) // each for kind, each in zip(("CPU", "GPU"), needs, strict=True) if each]
    return min(limits, default=float("inf"))


def plan_moves(where: Mapping[int, str], room: Mapping[str, float], new: Collection[str]) -> list[Move]:
    """Moves to the `new` nodes, until none that has room holds two scorers fewer than another node does.

    `where` says on which node each scorer is, `room` how many every living node could hold. Nothing moves
    while a scorer's node is dead: it is being started anew, and may come to a new node by itself.
    """
    if not set(where.values()) <= room.keys():
        return []
    now, moves = dict(where), list[Move]()
    while True:
        load = Counter(now.values())
        free = [node for node in new if load[node] + 1 <= room.get(node, 0.0)]
        if not free or not load:
            return moves
        target, source = min(free, key=lambda node: (load[node], node)), max(load, key=lambda node: (load[node], node))
        if load[source] - load[target] < 2:
            return moves
        scorer = max(number for number, node in now.items() if node == source)
        now[scorer] = target
        moves.append(Move(scorer, target))
