"""What the coordinator can ask of every shard, and the fleet that carries a request to all of them.

A request is a value that travels; `run` calls the shard's method on whichever machine the shard is.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from negsift.common.account import RecoveryCounts
from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.instance_features import InstanceFeatures
from negsift.common.types import Embedded, EmbeddingSpec, Round, Snapshot
from negsift.service.kmeanspp.queries import PointQuery
from negsift.service.points.bag_points import PointsSpec
from negsift.service.points.grid import Grid, PointsMeasure
from negsift.service.pool.blocks import Part
from negsift.service.scoring.top_k_sample import TopKRequest, TopKSample
from negsift.service.strategies.base import Prepared, Strategy

if TYPE_CHECKING:  # coordinators have requests, but no shards
    from negsift.service.scoring.shard import Shard

T = TypeVar("T")


class ShardRequest(ABC, Generic[T]):
    """A question whose answer from one shard is a T."""

    @abstractmethod
    def run(self, shard: "Shard", snapshot: Snapshot) -> T:
        """The shard's answer with the weights of `snapshot`."""


@dataclass(frozen=True)
class TopK(ShardRequest[TopKSample]):
    """What `request` says of the shard's best bags for a strategy."""

    strategy: Strategy
    prepared: Prepared
    round: Round
    request: TopKRequest

    def run(self, shard: "Shard", snapshot: Snapshot) -> TopKSample:
        """See `Shard.top_k`."""
        return shard.top_k(snapshot, self.strategy, self.prepared, self.round, self.request)


@dataclass(frozen=True)
class Embed(ShardRequest[Embedded | None]):
    """The embeddings of bags of a part: all, those of `subset`, or those at `index`."""

    part: Part
    spec: EmbeddingSpec
    subset: BlockSubset | None = None
    index: Index | None = None

    def run(self, shard: "Shard", snapshot: Snapshot) -> Embedded | None:
        """See `Shard.embed`."""
        return shard.embed(snapshot, self.part, self.spec, self.subset, self.index)


@dataclass(frozen=True)
class EmbeddingBytes(ShardRequest[int]):
    """The memory of one bag's embedding."""

    spec: EmbeddingSpec
    subset: BlockSubset | None

    def run(self, shard: "Shard", snapshot: Snapshot) -> int:
        """See `Shard.embedding_bytes`."""
        return shard.embedding_bytes(snapshot, self.spec, self.subset)


@dataclass(frozen=True)
class MeasurePoints(ShardRequest[PointsMeasure]):
    """The extent of the bags as points."""

    spec: PointsSpec

    def run(self, shard: "Shard", snapshot: Snapshot) -> PointsMeasure:
        """The shard keeps its points for queries."""
        return shard.points(snapshot, self.spec).measured


@dataclass(frozen=True)
class QueryPoints(ShardRequest[T]):
    """A query of the points on a grid. It carries all that a restarted shard needs to answer it."""

    spec: PointsSpec
    grid: Grid
    query: PointQuery[T]

    def run(self, shard: "Shard", snapshot: Snapshot) -> T:
        """The answer of the shard's points."""
        return shard.query(snapshot, self.spec, self.grid, self.query)


@dataclass(frozen=True)
class EncodeInstances(ShardRequest[InstanceFeatures]):
    """The features of the instances in the bags of `subset` and in the blocks of the bags at `also`."""

    subset: BlockSubset | None
    also: Index | None

    def run(self, shard: "Shard", snapshot: Snapshot) -> InstanceFeatures:
        """See `Shard.encode_instances`."""
        return shard.encode_instances(snapshot, self.subset, self.also)


class Fleet(Protocol):
    """All shards in one round, in this process (`LocalFleet`) or on Ray (`RayFleet`).

    It knows their number, the version of the weights, and the failures so far.
    """

    shards: int
    version: int
    recovery: RecoveryCounts

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """The answers of all shards in the order of their numbers; a shard taken over may answer in parts.

        Raises ServiceError if a shard can't be asked, and what the model or the pool raises, unchanged.
        """

    def share_features(self, features: InstanceFeatures) -> None:
        """Give all shards the features of the pool's instances, for the rest of the round."""
