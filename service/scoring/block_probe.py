"""How many bags one batch may have on a GPU: as many as its memory and the model allow, found by trying."""

import logging
from typing import Protocol

import numpy as np
import torch

from negsift.common.models.embedder import Embedder
from negsift.common.out_of_memory import lacks_memory
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.pool.blocks import SMALL_BLOCK
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.device_lanes import Lanes, lanes_to
from negsift.service.scoring.memory_limiter import too_large
from negsift.service.scoring.model_runner import ModelRunner
from negsift.service.scoring.shard_spec import ShardSpec

log = logging.getLogger(__name__)

_MOST = 4096
"""Beyond it a network is not faster: launches are well below a hundredth of a block's time."""
_PARTS = 16
"""Blocks that a pool has at least, so that shards and a round's subset have some to share."""
_ON_THE_WAY = 4
"""Batches on the device at once: the one computed and those that are copied ahead."""


class BlockProbe(Protocol):
    """A device that tells what a batch takes."""

    free_bytes: int
    """Memory that may be used."""

    def used_bytes(self, bags: int) -> tuple[int, int]:
        """Memory of a batch of so many bags, and at the peak of its computation; raises an error without enough."""


class DeviceProbe:
    """A GPU with the model of a spec, on which bags from all over the pool are tried."""

    def __init__(self, spec: ShardSpec, model: Embedder, lanes: Lanes) -> None:
        self._pool, self._lanes = spec.pool, lanes
        self._runner = ModelRunner(model, spec.scoring, ByteBudget(0))
        free_bytes, total_bytes = torch.cuda.mem_get_info(lanes.device)
        share = torch.cuda.get_per_process_memory_fraction(lanes.device)
        self.free_bytes = min(free_bytes, int(share * total_bytes)) // 2

    def used_bytes(self, bags: int) -> tuple[int, int]:
        """As measured by torch's allocator."""
        device = self._lanes.device
        index = np.linspace(0, len(self._pool) - 1, bags).astype(np.int64)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with self._lanes.running():
            batch = self._runner.to_device(self._pool.batch(index))
            batch_bytes = torch.cuda.memory_allocated(device) - before
            self._runner.embed(batch, index, EmbeddingSpec(Need.LOGITS), "probe")
        torch.cuda.synchronize(device)
        return batch_bytes, torch.cuda.max_memory_allocated(device) - before


def device_block(spec: ShardSpec, model: Embedder, device: torch.device) -> int:
    """The bags of a block for a spec whose `model` is on `device`; on a CPU always the same small number."""
    lanes = lanes_to(device, spec.scoring.precision)
    return SMALL_BLOCK if lanes is None else largest_block(DeviceProbe(spec, model, lanes), len(spec.pool))


def largest_block(probe: BlockProbe, bags: int) -> int:
    """A power of two of bags, from 64 to 4,096 and at most a sixteenth of all `bags`, whose batches fit in memory.

    It is estimated from two small batches, tried, and halved while it doesn't fit. Raises ServiceError if not even one
    bag does.
    """
    small = _fitting(probe, SMALL_BLOCK)
    if small < SMALL_BLOCK or bags < 2 * _PARTS * SMALL_BLOCK:
        return small
    (batch, peak), (_, double_peak) = probe.used_bytes(small), probe.used_bytes(2 * small)
    bag_bytes = max(1, double_peak - peak + (_ON_THE_WAY - 1) * batch) / small
    fits = int(probe.free_bytes / bag_bytes)
    most = max(small, min(_MOST, bags // _PARTS, fits))
    return _fitting(probe, 1 << (most.bit_length() - 1))


def _fitting(probe: BlockProbe, block: int) -> int:
    """`block`, halved until a batch of it can be computed."""
    while True:
        try:
            probe.used_bytes(block)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            if block == 1:
                raise too_large("a bag of the pool", "", error) from error
        else:
            return block
        log.warning("no memory for blocks of %d bags: halved to %d", block, block // 2)
        block //= 2
