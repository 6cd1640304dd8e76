"""Points for k-means++ on the device of their shard, as far as its memory for what is kept goes."""

import logging
import weakref
from dataclasses import dataclass

import torch

from negsift.common.out_of_memory import lacks_memory
from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.point_backend import PointBackend
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.torch_backend import TorchBackend
from negsift.service.scoring.byte_limited_cache import ByteBudget

log = logging.getLogger(__name__)

_POINT_BYTES = 16  # an index, a square and a bound
_WORK_BYTES = 1 << 30  # products of a run of rows, and what is made of them


@dataclass(frozen=True)
class DevicePoints:
    """Makes the backend of points: on `device` if `budget` has room, else in main memory, with the same picks."""

    device: torch.device
    budget: ByteBudget

    def __call__(self, points: Points) -> PointBackend:
        """The backend; what it takes of the budget is given back with its memory."""
        columns = sum(factor_nc.shape[1] for factor_nc in points.factors)
        size_bytes = len(points) * (4 * columns + _POINT_BYTES) + _WORK_BYTES
        backend = self._on_device(points, size_bytes) if self.budget.take(size_bytes) else None
        if backend is not None:
            return backend
        log.info("%s points of %d MiB stay in main memory", f"{len(points):,}", size_bytes >> 20)
        return CpuBackend(points)

    def _on_device(self, points: Points, size_bytes: int) -> PointBackend | None:
        try:
            backend = TorchBackend(points, self.device)
        except (MemoryError, RuntimeError) as error:
            self.budget.give_back(size_bytes)
            if not lacks_memory(error):
                raise
            return None
        weakref.finalize(backend, self.budget.give_back, size_bytes)
        return backend
