"""k-means++ selection at scale: exact D² sampling over points that shards hold."""

from service.kmeanspp.farthest import spread_evenly
from service.kmeanspp.messages import Spread
from service.kmeanspp.points import Points, grid_exponent, snap
from service.kmeanspp.pool import Pool, Wanted
from service.kmeanspp.race import spread_out
from service.kmeanspp.rows import HeldRows, Rows

__all__ = [
    "HeldRows",
    "Points",
    "Pool",
    "Rows",
    "Spread",
    "Wanted",
    "grid_exponent",
    "snap",
    "spread_evenly",
    "spread_out",
]
