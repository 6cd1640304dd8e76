"""NegativeSampler, the public face: give it weights and an epoch, get the negatives worth training on."""

import copy
import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import nn

from negsift.common.errors import BadInput
from negsift.common.models.adapt import as_embedder
from negsift.common.models.bag import BagClassifier
from negsift.common.protocols import Sized
from negsift.common.types import PoolVersion, Round, Selection
from negsift.common.weights import Weights, take_snapshot
from negsift.service.arguments import check_version, require_positives, require_whole, resolve_k, resolve_strategy
from negsift.service.config import FleetConfig
from negsift.service.fleet.local import ShardSpec
from negsift.service.points.shared_points import PoolLayout
from negsift.service.pool.bag_source import BagSource, Collate
from negsift.service.pool.versions import pool_of, pool_version_of, positives_of, renew, stamp
from negsift.service.protocols import Service
from negsift.service.sampler_state import PendingSelection, SamplerState
from negsift.service.scoring.instances import shares_instances
from negsift.service.selection.coordinator import Task
from negsift.service.selection.round_scope import Scope
from negsift.service.start import start_service
from negsift.service.strategies.base import Strategy

log = logging.getLogger(__name__)


class NegativeSampler:
    """Picks k bags of `pool` an epoch, on shards in this process (`fleet="local"`) or on Ray actors (`"ray"`).

    `pool` and `positives` are map-style datasets of bags, or the path or URI of a bag table, of which
    they are the training bags negative or positive for `target_label`; `positives` is needed by
    strategies that learn from them. `model` is a BagClassifier or any module giving bag logits (N, K) whose last
    linear layer is `head`; it is copied, never changed. `strategy` is a name or an object. `k` may be
    left out for `full`; `staleness` bounds how many epochs weights may be behind; with `candidates` or
    `rescore` a round scores that many bags, and `every` says how many epochs lie between rounds, see `Scope`.
    The picks depend on pool, weights, strategy, k, seed, epoch and scope (and with `rescore` on earlier
    scores), and on nothing else: not on `shards`, not on the fleet. Use it as a context manager, or call `close`.

    Raises BadInput (and its kin) for anything unusable, before any work is done.
    """

    def __init__(
        self,
        pool: Sized | str | Path,
        model: nn.Module,
        *,
        strategy: str | Strategy = "random",
        k: int | None = None,
        shards: int | None = None,
        seed: int = 0,
        fleet: str = "local",
        positives: Sized | str | Path | None = None,
        target_label: str | None = None,
        head: str | None = None,
        collate: Collate | None = None,
        random_rounds: int = 0,
        staleness: int | None = None,
        target: int = 1,
        candidates: int | None = None,
        rescore: int | None = None,
        every: int = 1,
        options: FleetConfig | None = None,
    ) -> None:
        config = dataclasses.replace(options or FleetConfig(), kind=fleet)
        config = config if shards is None else dataclasses.replace(config, shards=shards)
        embedder = as_embedder(model, head)
        ragged = isinstance(embedder, BagClassifier)
        bags = BagSource(pool_of(pool, target_label), collate, ragged)
        learnt = BagSource(positives_of(positives, target_label), collate, ragged)
        self._life = PoolHandle(bags.dataset, pool_version_of(bags.dataset))
        scope, self._positives = Scope(candidates, rescore, every), len(learnt)
        self._task, self._memory = Task(resolve_strategy(strategy), random_rounds, staleness, scope), SamplerState()
        self._round = self._first_round(k, seed, target)
        stock = ShardSpec(
            bags, learnt, embedder, config.shard_count(), config.block, config.cache_mb << 20, config.budget,
            scoring=config.scoring,
        )  # fmt: skip
        budgets = config.gather_mb << 20, config.held_mb << 20
        layout = PoolLayout(len(bags), *budgets, shares_instances(bags, embedder))
        self._service: Service = start_service(stock, layout, config)
        self._owns_service = True
        log.info(self._service.describe())

    @classmethod
    def over(cls, service: Service, pool: Sized, task: Task, first: Round) -> Self:
        """A sampler of `pool` whose rounds another program's service runs; `first` is one without its epoch."""
        made = cls.__new__(cls)
        made._life, made._task, made._round, made._memory = (
            PoolHandle(pool, pool_version_of(pool)),
            task,
            first,
            SamplerState(),
        )
        task.scope.check(task.strategy, first.k)
        made._positives = 1  # the service knows how many there are, and complains if there are none
        made._service, made._owns_service = service, True
        log.info(service.describe())
        return made

    def sibling(
        self,
        strategy: str | Strategy,
        *,
        k: int | None = None,
        seed: int = 0,
        random_rounds: int = 0,
        staleness: int | None = None,
        target: int = 1,
        candidates: int | None = None,
        rescore: int | None = None,
        every: int = 1,
    ) -> "NegativeSampler":
        """Another sampler on the same shards, for another run or strategy over the same pool and architecture.

        It ends with this one; closing it does nothing.
        """
        other, scope = copy.copy(self), Scope(candidates, rescore, every)
        other._task, other._memory = Task(resolve_strategy(strategy), random_rounds, staleness, scope), SamplerState()
        other._owns_service = False
        other._round = other._first_round(k, seed, target)
        return other

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights` (a state dict of tensors or arrays).

        Raises BadWeights if they don't fit the model or aren't finite; ServiceError if a round can't
        be finished; the model's own exceptions as they are.
        """
        return self.submit(weights, epoch).result()

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> PendingSelection:
        """Start a round and return at once; `.result(timeout_s)` gives the selection.

        `version` says after how many epochs the weights were taken, `epoch` if it is left out; the
        selection's staleness is the difference. Raises BadInput if that is below 0 or above `staleness`.
        """
        if self._life.over:
            raise BadInput("a closed sampler", "one that is open", "select within the with-block, before close()")
        version, pool_version = epoch if version is None else version, self._life.pool_version
        check_version(version, epoch, self._task.staleness)
        snapshot = stamp(take_snapshot(weights, version), pool_version)
        k, memory = resolve_k(self._round.k, self._task.strategy, pool_version.bags), self._memory
        asked = dataclasses.replace(self._round, epoch=epoch, k=k, pool_version=pool_version, previous=memory.previous)
        asked = self._task.scope.narrowed(asked, self._task.strategy_at(epoch), memory.kept is not None)
        return PendingSelection(memory, self._service.begin(self._task, asked, snapshot), asked, k)

    @property
    def pool(self) -> Sized:
        """The bags that selections are of; a table's know their ids: `sampler.pool.bag_id(chosen.index)`."""
        return self._life.pool

    def refresh(self, version: int | None = None) -> int:
        """Take in a version of the pool's table, the newest by default, from the next `submit` on; its number.

        Siblings do, too; a round under way ends with the version it began with. Positions stay what
        they are. Raises BadInput where the pool is no table.
        """
        self._life.pool = renew(self.pool, version)
        self._life.pool_version = pool_version_of(self.pool)
        return self._life.pool_version.version

    def state_dict(self) -> dict[str, Any]:  # Any: tensors and numbers
        """All that later selections depend on besides the weights: the last one, kept scores, a table's version."""
        return self._memory.state() | {"pool_version": self._life.pool_version.version}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Go on from a `state_dict`."""
        if isinstance(state, Mapping) and state.get("pool_version"):
            self.refresh(state["pool_version"])
        self._memory.load(state, len(self.pool))

    def close(self, finish: bool = True) -> None:
        """Let go of the shards; a round under way is finished first, or given up unless `finish`.

        Once is enough, twice does no harm.
        """
        if self._owns_service:
            self._service.close(finish)
            self._owns_service, self._life.over = False, True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(finish=kind is None)

    def _first_round(self, k: int | None, seed: int, target: int) -> Round:
        strategy = self._task.strategy
        require_positives(strategy, self._positives)
        require_whole("seed", seed)
        first = Round("", 0, seed, resolve_k(k, strategy, self._life.pool_version.bags), target)
        self._task.scope.check(strategy, first.k)
        return first


@dataclass
class PoolHandle:
    """The pool, its version and size as they are now, and whether the shards are gone; siblings share it."""

    pool: Sized
    pool_version: PoolVersion
    over: bool = False
