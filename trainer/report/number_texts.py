"""Statistics as short texts."""

import math

from negsift.trainer.results.intervals import Interval
from negsift.trainer.results.versus import Versus

NONE = "—"
_SMALL = 1e-4


def signed(value: float, digits: int = 3) -> str:
    """`+0.012`, or `—` for NaN."""
    return NONE if math.isnan(value) else f"{value:+z.{digits}f}".replace("-", "−")


def p_text(p: float) -> str:
    """Three digits, or two of those below 0.01; `—` for NaN."""
    return NONE if math.isnan(p) else "<0.0001" if p < _SMALL else f"{p:.2g}" if p < 0.01 else f"{p:.3f}"


def p_is(p: float) -> str:
    """`p = 0.013`, or `p < 0.0001`."""
    return "p < 0.0001" if p < _SMALL else f"p = {p_text(p)}"


def interval_text(interval: Interval) -> str:
    """`−0.010 to +0.020`, or `—` without one."""
    return NONE if math.isnan(interval.low) else f"{signed(interval.low)} to {signed(interval.high)}"


def holm_text(versus: Versus) -> str:
    """The corrected p, with the smallest that so many pairs can give."""
    smallest = versus.holm.smallest
    return f"{p_text(versus.holm.sign_flip)} (≥ {f'{smallest:.0e}' if smallest < _SMALL else p_text(smallest)})"
