"""What a pool's service makes shards from: the table's bags by target and version, and the models of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.errors import BadData, BadInput
from negsift.common.models.bag import BagClassifier
from negsift.service.config import FleetConfig
from negsift.service.fleet.local import ShardSpec
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import block_count
from negsift.service.serving.protocol import TaskSpec
from negsift.service.serving.unpickling import make_embedder

_MOST_OPEN = 64
T = TypeVar("T")


@dataclass
class ShardSpecs:
    """A table, opened once for each target and version in use."""

    where: Location
    config: FleetConfig
    shards: int
    _pools: dict[tuple[str | None, int], TableBags] = field(default_factory=dict)
    _positives: dict[tuple[str | None, int], Sequence[object]] = field(default_factory=dict)

    @property
    def newest(self) -> Manifest:
        """The newest version of the table, on disk."""
        return read_manifest(self.where)

    def pool(self, target: str | None, version: int | None) -> TableBags:
        """The bags negative for a target, in a version, the newest by default; raises BadInput if there are none."""
        version = self.newest.version if version is None else version
        key = target, version
        if key not in self._pools:
            known = [bags for (name, _), bags in self._pools.items() if name == target]
            self._pools[key] = (known[-1] if known else open_pool(self.where, target)).at(version)
            _trim(self._pools)
        return self._pools[key]

    def positives(self, target: str | None, version: int | None) -> Sequence[object]:
        """The bags positive for a target; none where nothing is."""
        key = target, version or self.newest.version
        if target is not None and key not in self._positives:
            try:
                self._positives[key] = open_positives(self.where, target).at(key[1])  # type: ignore[assignment]  # a dataset
            except BadData:  # the table itself was read before, for its negatives
                self._positives[key] = ()
            _trim(self._positives)
        return self._positives.get(key, ())

    def make(self, spec: TaskSpec) -> ShardSpec:
        """What the shards of a task are made from."""
        pool = self.pool(spec.target, spec.pool_version)
        model = make_embedder(spec.model, pool.manifest.payload)
        ragged = isinstance(model, BagClassifier)
        bags, learnt = (
            BagSource(part, None, ragged) for part in (pool, self.positives(spec.target, spec.pool_version))
        )
        config = self.config
        return ShardSpec(
            bags, learnt, model, self.shards, config.block, config.cache_mb << 20, config.budget, config.tasks_held,
            config.scoring,
        )  # fmt: skip


def shards_for(manifest: Manifest, config: FleetConfig, room: int) -> int:
    """The shards asked for, else as many as there is `room` for and blocks; raises BadInput for more than blocks."""
    blocks = block_count(manifest.rows, config.block)
    if config.shards is None:
        return min(room, blocks)
    if config.shards > blocks:
        raise BadInput(
            f"{config.shards} shards for {manifest.rows:,} bags in {blocks} blocks of {config.block}",
            f"at most {blocks}, a block each", "lower --shards or --set block",
        )  # fmt: skip
    return config.shards


def _trim(held: dict[tuple[str | None, int], T]) -> None:
    while len(held) > _MOST_OPEN:
        held.pop(next(iter(held)))
