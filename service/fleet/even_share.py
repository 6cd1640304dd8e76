"""What each of so many scorers takes of the nodes unless it is asked for: the most with which all of them fit."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from negsift.service.fleet.placement import Needs
from negsift.service.fleet.rebalance import room_for

_PARTS = 1000
"""A share is so many thousandths of a CPU or GPU, and at most 1."""


def even_share(nodes: Sequence[Mapping[str, float]], asked: tuple[float | None, float | None], count: int) -> Needs:
    """CPUs and GPUs for each of `count` scorers on nodes with these resources: as `asked`, or else at most 1.

    GPUs come first: ten scorers on seven GPUs take a half each, since two of 0.7 would not fit one GPU. Then CPUs are
    shared by those that the GPUs place on a node. Where not all have what they asked for yet, the others count by their
    CPUs alone. A kind of which too little is left for all is 0.
    """

    def room(cpus: float, gpus: float) -> float:
        return sum(room_for(node, (cpus, gpus)) for node in nodes)

    gpus = _most(lambda share: room(0.0, share) >= count) if asked[1] is None else asked[1]
    placed = min(count, room(0.0, gpus))
    cpus = _most(lambda share: room(share, gpus) >= placed and room(share, 0.0) >= count)
    return cpus if asked[0] is None else asked[0], gpus


def _most(fits: Callable[[float], bool]) -> float:
    """The largest share that fits, where all smaller ones do."""
    return bisect_left(range(1, _PARTS + 1), True, key=lambda part: not fits(part / _PARTS)) / _PARTS
