"""One pass of a model over instances that are in several bags each, so that each is encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.data.bagset import BagBatch, BagSet, Batch
from negsift.common.instance_features import InstanceFeatures
from negsift.common.models.embed import to_numpy
from negsift.service.pool.blocks import block_count, block_index, share_blocks
from negsift.service.scoring.device_pipeline import BlockSteps
from negsift.service.scoring.model_runner import ModelRunner

_INSTANCES = 320
"""Instances encoded as one batch; a fixed number, so that shards make no difference."""


@dataclass(frozen=True)
class InstancePass:
    """Runs of the instances at `rows` (u,), ascending, of the table under `pool`."""

    pool: BagSet
    rows: Index
    runner: ModelRunner

    @property
    def steps(self) -> BlockSteps[InstanceFeatures]:
        """The steps for a pipeline."""
        return BlockSteps(self.read, self.forward, self.finish, self.name, "", self.runner.forget)

    def share(self, share: tuple[int, int]) -> Sequence[int]:
        """The numbers of the runs of shard `share[0]` of `share[1]`."""
        return share_blocks(block_count(len(self.rows), _INSTANCES), share[1])[share[0]]

    def encode(self, run: int) -> InstanceFeatures:
        """The features of one run, step after step in this thread."""
        images = self.read(run)
        on_device = None if images is None else self.runner.to_device(images)
        return self.finish(run, [to_numpy(part) for part in self.forward(run, on_device)])

    def read(self, run: int) -> Batch | None:
        """The instances of a run, a bag each; None where they or their features are kept."""
        return self.runner.read(self._key(run), lambda: self._images(run))

    def forward(self, run: int, batch: Batch | None) -> Sequence[Tensor]:
        """Ask the device for their features; `batch` is there."""
        if batch is None and not self.runner.has(self._key(run)):  # forgotten meanwhile, for want of memory
            batch = self.runner.to_device(self._images(run))
        assert batch is None or isinstance(batch, BagBatch)
        return (self.runner.features(batch, len(self._own(run)), self._key(run)),)

    def finish(self, run: int, arrays: Sequence[Array]) -> InstanceFeatures:
        """The features that came back."""
        return InstanceFeatures(self._own(run), arrays[0])

    def name(self, run: int) -> str:
        """What a run is called in messages."""
        return f"run {run} of the pool's instances ({len(self._own(run))} of them)"

    def _images(self, run: int) -> BagBatch:
        own = self._own(run)
        return BagBatch(self.pool.gather_rows(own), np.ones(len(own), dtype=np.int64))

    def _key(self, run: int) -> tuple[int, bytes]:
        return run, self._own(run).tobytes()

    def _own(self, run: int) -> Index:
        return self.rows[block_index(run, _INSTANCES, len(self.rows))]
