"""Exact D² sampling of points that are on a GPU, against one read of their data."""

from collections.abc import Iterator

import numpy as np
import torch

from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.kmeanspp.torch_backend import TorchBackend
from tests.bench.gpu_device import Bench
from tests.bench.gpu_runner import Row

_CHECKED = 200_000
"""Points up to which the CPU draws as well."""


def seeding_rows(bench: Bench) -> Iterator[Row]:
    """A small pool, whose picks are compared with the CPU's, and the large one."""
    count, columns = bench.sizes.points
    few = min(_CHECKED, count // 4)
    yield _row(bench, few, columns, max(1, bench.sizes.centres // 10))
    yield _row(bench, count, columns, bench.sizes.centres)


def _row(bench: Bench, count: int, columns: int, centres: int) -> Row:
    points, spec = _points(bench, count, columns), SeedingSpec(centres, 0, 0)
    backend = TorchBackend(points, bench.device)

    def draw() -> np.ndarray:
        backend.reset()
        return d2_sample(LocalPool(ShardRows(points, lambda _: backend)), spec).index

    spent, read = bench.seconds(draw, turns=1), _read_seconds(bench, backend)
    same = "—"
    if count <= _CHECKED:
        same = "yes" if np.array_equal(draw(), d2_sample(LocalPool(ShardRows(points)), spec).index) else "NO"
    return (
        f"{count:,} x {columns}", f"{centres:,}", f"{spent:.3f}", f"{read:.4f}", f"{spent / read:.1f}", same
    )  # fmt: skip


def _points(bench: Bench, count: int, columns: int) -> Points:
    """Heavy-tailed rows on a grid, drawn on the device: a CPU would take a minute."""
    draw = torch.Generator(bench.device).manual_seed(0)
    rows = torch.randn(count, columns, generator=draw, device=bench.device)
    rows *= torch.randn(count, 1, generator=draw, device=bench.device).exp() * 1000
    return Points(np.arange(count, dtype=np.int64), (rows.round_().cpu().numpy(),))


def _read_seconds(bench: Bench, backend: TorchBackend) -> float:
    """One sum over all that the backend holds of the points."""
    return bench.seconds(lambda: [factor_nc.sum() for factor_nc in backend.factors])
