"""What a coordinator and its scorers say to each other; weights and specs go by reference, from store to scorer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ray
from ray import ObjectRef

from negsift.common.instance_features import InstanceFeatures
from negsift.common.types import Snapshot
from negsift.service.fleet.recovery_ledger import Incarnation
from negsift.service.scoring.shard_memory import ShardMemory

if TYPE_CHECKING:  # a coordinator passes references on, and is there sooner without torch
    from negsift.service.scoring.shard_spec import ShardSpec

T = TypeVar("T")
FETCH_S = 120.0
"""How long a scorer waits for what a reference stands for."""


@dataclass(frozen=True)
class SpecRef:
    """A ShardSpec in the object store by digest; in a list, here and below, so that Ray doesn't fetch it on the way."""

    digest: str
    reference: "Sequence[ObjectRef[ShardSpec]]"

    def fetch(self) -> "ShardSpec":
        """The spec; without a limit of its own, since whoever waits for the scorer has one."""
        return ray.get(self.reference[0])


@dataclass(frozen=True)
class WeightsRef:
    """Weights in the object store: a Snapshot, or a client's plain arrays for the pool's version `pool_version`.

    `spec` is what they score. `features` are those of the pool's instances, where bags share instances.
    """

    version: int
    digest: str
    reference: Sequence[ObjectRef[Any]]  # Any: a Snapshot, or arrays by name
    spec: SpecRef
    pool_version: int = 0
    features: Sequence[ObjectRef[InstanceFeatures]] = ()

    def fetch(self) -> Snapshot:
        """The weights, with the features if there are any."""
        weights = ray.get(self.reference[0], timeout=FETCH_S)
        if not isinstance(weights, Snapshot):
            weights = Snapshot(self.version, self.digest, weights, None, self.pool_version)
        features = ray.get(self.features[0], timeout=FETCH_S) if self.features else None
        return replace(weights, features=features)


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer, the incarnation of the scorer that gave it, and its node."""

    incarnation: Incarnation
    answer: T
    node: str


@dataclass(frozen=True)
class ScorerStatus:
    """A scorer's name, process, node and incarnation, and the memory it takes."""

    name: str
    pid: int
    node: str
    incarnation: Incarnation
    memory: ShardMemory
