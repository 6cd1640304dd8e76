"""What a pool's service makes shards from: the table's bags by target and version, and the models of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.errors import BadData, BadInput
from negsift.common.lru_cache import LruCache
from negsift.common.models.bag import BagClassifier
from negsift.service.config import FleetConfig
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import block_count
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.serving.protocol import TaskSpec
from negsift.service.serving.unpickling import make_embedder

_MOST_OPEN = 64


@dataclass
class ShardSpecs:
    """A table, opened once for each target and version in use."""

    location: Location
    config: FleetConfig
    shards: int
    _pools: LruCache[tuple[str | None, int], TableBags] = field(default_factory=lambda: LruCache(_MOST_OPEN))
    _positives: LruCache[tuple[str, int], BagDataset] = field(default_factory=lambda: LruCache(_MOST_OPEN))

    @property
    def newest(self) -> Manifest:
        """The newest version of the table, on disk."""
        return read_manifest(self.location)

    def pool(self, target: str | None, version: int | None) -> TableBags:
        """The bags negative for a target, in a version, by default the newest; raises BadInput if there are none."""
        version = self.newest.version if version is None else version
        return self._pools.get_or_make((target, version), lambda: self._open(target).at(version))

    def positives(self, target: str | None, version: int | None) -> BagDataset:
        """The bags positive for a target; none where no bag is."""
        if target is None:
            return ()
        version = version or self.newest.version
        return self._positives.get_or_make((target, version), lambda: self._open_positives(target, version))

    def make(self, task: TaskSpec) -> ShardSpec:
        """What the shards of a task are made from."""
        pool, positives = self.pool(task.target, task.pool_version), self.positives(task.target, task.pool_version)
        model = make_embedder(task.model, pool.manifest.payload)
        ragged, config = isinstance(model, BagClassifier), self.config
        return ShardSpec(
            BagSource(pool, None, ragged), BagSource(positives, None, ragged), model, self.shards, config.block_size,
            config.cache_mb << 20, config.budget, config.tasks_held, config.scoring, config.device_bytes,
        )  # fmt: skip

    def _open(self, target: str | None) -> TableBags:
        """Any version of a target's bags: one that is open, since versions share what was read, else the newest."""
        same: Sequence[TableBags] = [bags for (name, _), bags in self._pools.items() if name == target]
        return same[-1] if same else open_pool(self.location, target)

    def _open_positives(self, target: str, version: int) -> BagDataset:
        try:
            return open_positives(self.location, target).at(version)
        except BadData:  # the table itself was read before, for its negatives
            return ()


def shards_for(manifest: Manifest, config: FleetConfig, room: int) -> int:
    """The shards asked for, else as many as there is `room` for and blocks; raises BadInput for more than blocks."""
    if not isinstance(config.block, int):
        found = "fleet.block=auto for a shared service, whose models come later"
        raise BadInput(found, "a number of bags", "give one, such as block=1024")
    blocks = block_count(manifest.rows, config.block)
    if config.shards is None:
        return min(room, blocks)
    if config.shards > blocks:
        raise BadInput(
            f"{config.shards} shards for {manifest.rows:,} bags in {blocks} blocks of {config.block}",
            f"at most {blocks}, a block each", "lower shards or block",
        )  # fmt: skip
    return config.shards
