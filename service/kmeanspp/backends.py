"""Which body runs the inner loops: numba's where it is installed and pays, else numpy's. The picks are the same."""

import importlib.util
from functools import cache
from types import ModuleType

from negsift.service.kmeanspp.points import Points

_LEAST_NUMBERS, _LEAST_PRODUCTS = 1 << 19, 1 << 18


def pays(points: Points) -> bool:
    """Whether a pool of these points is large enough to be worth the second that numba takes to load."""
    return points.size_bytes >= 4 * _LEAST_NUMBERS and compiled() is not None


def compiled_for(points: Points, centres: int) -> ModuleType | None:
    """The compiled loops for points against so many centres, if they pay and take such points."""
    products = len(points) * centres * points.factors[0].shape[1]
    return compiled() if products >= _LEAST_PRODUCTS and len(points.factors) == 1 else None


@cache
def compiled() -> ModuleType | None:
    """The compiled loops; None without numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    from negsift.service.kmeanspp import numba_kernels  # imported here: numba is optional, and slow to load

    return numba_kernels
