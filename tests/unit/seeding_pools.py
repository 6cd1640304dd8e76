"""Pools of points for tests of seeding, in one or several shards, with any backend."""

from functools import partial

import numpy as np
import torch

from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.point_backend import BackendFactory
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.kmeanspp.torch_backend import TorchBackend

BACKENDS: dict[str, BackendFactory] = {
    "numpy": partial(CpuBackend, compiled=False),
    "numba": partial(CpuBackend, compiled=True),
    "torch": partial(TorchBackend, device=torch.device("cpu")),
}


def points_of(rows: np.ndarray, first: int = 5, apart: int = 3) -> Points:
    """Points in whole steps at positions 5, 8, 11, …"""
    return Points(np.arange(len(rows), dtype=np.int64) * apart + first, (rows.astype(np.float32),))


def pool_of(points: Points, shards: int = 1, make_backend: BackendFactory | None = None) -> LocalPool:
    """The points on so many shards."""
    parts = np.array_split(np.arange(len(points)), shards)
    return LocalPool(*(ShardRows(points.take(part), make_backend) for part in parts))


def heavy_tailed(count: int, columns: int, seed: int, clusters: int = 0) -> np.ndarray:
    """Whole steps with norms over some orders of magnitude, perhaps around a few places."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, columns)) * random.lognormal(0.0, 1.5, (count, 1))
    if clusters:
        rows = 3.0 * random.normal(size=(clusters, columns))[random.integers(clusters, size=count)] + 0.01 * rows
    return np.rint(rows / np.abs(rows).max() * 2**20).astype(np.int64)
