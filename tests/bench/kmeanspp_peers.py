"""Ways to seed k-means++, ours and others', each on one thread; and what a run of one costs.

Every one of them takes the same rows and gives the centres' rows, (m, d). Axes: n points, d columns,
m centres, r factors' columns.
"""

import importlib.util
import resource
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rv_discrete
from sklearn.cluster import kmeans_plusplus

from common.types import Floats, Traffic
from service.kmeanspp import HeldRows, Points, Rows, Wanted, spread_out
from service.kmeanspp.loops import NumpyLoops
from service.kmeanspp.points import Steps

_BUDGET_S, _LEAST_CENTRES, _LONGEST_S = 1.0, 6, 20.0


@dataclass(frozen=True)
class Job:
    """The first `count` of `wanted` centres of `rows`, (n, d)."""

    rows: Steps
    wanted: int
    count: int
    seed: int = 0


@dataclass(frozen=True)
class Seeding:
    """One way. `passes` says that each centre after the first costs the same."""

    name: str
    centres: Callable[[Job], Steps]
    passes: bool = True
