"""Which scorers move to nodes that joined late: a decision, which the scorer group carries out between rounds."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_KINDS = ("CPU", "GPU")
_UNITS = 10_000
"""Ray counts resources in ten-thousandths, in which five times 0.2 is 1."""


@dataclass(frozen=True)
class Move:
    """A scorer, and the node that it moves to."""

    scorer: int
    node: str


def room_for(resources: Mapping[str, float], needs: tuple[float, float]) -> float:
    """The number of scorers of `needs` (CPUs, GPUs) that a node with these resources could hold in all.

    A part of a GPU is of one GPU: 0.7 of it fits seven GPUs seven times, and 0.4 of it fourteen times.
    """
    pairs = [
        (kind, round(resources.get(kind, 0.0) * _UNITS), round(need * _UNITS))
        for kind, need in zip(_KINDS, needs, strict=True)
    ]
    limits = [_times(kind, max(0, have), need) for kind, have, need in pairs if need]
    return min(limits, default=float("inf"))


def _times(kind: str, have: int, need: int) -> int:
    if kind == "CPU" or need >= _UNITS:
        return have // need
    return have // _UNITS * (_UNITS // need) + have % _UNITS // need


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
