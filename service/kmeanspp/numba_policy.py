"""Whether to use the loops that numba compiles. It is optional; the picks are the same without."""

import importlib.util
from functools import cache

from negsift.service.kmeanspp.points import Points

_LEAST_PRODUCTS = 1 << 18  # below, calling a compiled function costs more than it saves


def numba_pays(points: Points, centres: int) -> bool:
    """Whether compiled loops pay for comparing `points` with that many centres; they take one factor only."""
    products = len(points) * centres * points.factors[0].shape[1]
    return products >= _LEAST_PRODUCTS and len(points.factors) == 1 and numba_installed()


@cache
def numba_installed() -> bool:
    """Whether numba can be imported."""
    return importlib.util.find_spec("numba") is not None
