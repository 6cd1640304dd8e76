"""Whether to use the loops that numba compiles. It is optional; the picks are the same without."""

import importlib.util
from functools import cache

_LEAST_PRODUCTS = 1 << 18  # below, calling a compiled function costs more than it saves


def numba_pays(products: int) -> bool:
    """Whether a compiled loop pays for so many multiplications."""
    return products >= _LEAST_PRODUCTS and numba_installed()


@cache
def numba_installed() -> bool:
    """Whether numba can be imported."""
    return importlib.util.find_spec("numba") is not None
