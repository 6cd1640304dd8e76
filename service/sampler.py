"""NegativeSampler, the public face: give it weights and an epoch, get the negatives worth training on."""

import copy
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from negsift.common.arrays import Array, Index
from negsift.common.data.protocols import BagDataset
from negsift.common.generators import generators_kept
from negsift.common.guards import Guards
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.bag import BagClassifier
from negsift.common.models.embedder import logit_columns, resolve_model
from negsift.common.protocols import Pending
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Selection
from negsift.common.weights import Weights, take_snapshot
from negsift.service.arguments import (
    require_column,
    require_columns,
    require_head,
    require_kind,
    resolve_policy,
    resolve_pool,
    resolve_positives,
    resolve_strategy,
)
from negsift.service.config import FleetConfig
from negsift.service.pool.bag_source import BagSource, Collate
from negsift.service.protocols import Service
from negsift.service.sampler_state import PendingSelection, PoolHandle, SamplerState
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.guards import RankGuards
from negsift.service.selection.logit_memory import RecalledPending, require_remembered
from negsift.service.selection.task import Task, check_version, require_positives, require_whole
from negsift.service.start import start_service
from negsift.service.strategies.base import Strategy

log = logging.getLogger(__name__)
_NO_GUARDS = Guards()


class NegativeSampler:
    """Picks k bags of `pool` an epoch, on shards in this process (`fleet="local"`) or on Ray actors (`"ray"`).

    `pool` and `positives` are map-style datasets of bags, or the path or URI of a bag table, of which they are the
    training bags negative or positive for `target_label`. `positives` is needed by strategies that learn from them.
    `model` is a BagClassifier, or any module that gives bag logits (N, K) (with `outputs="probability"` probabilities)
    and whose last linear layer is the classifier, or named by `head`; it is copied, never changed. `strategy` is a name
    or an object. `k` may be left out for `full`. `policy` says how old weights may be and how much a round scores;
    `random_rounds`, `staleness`, `candidates`, `rescore`, `every`, `score` and `guard` are its fields one by one.
    `options` says where scoring happens; `fleet` and `shards` replace its `kind` and `shards`.

    The picks depend on pool, weights, strategy, k, target, seed, epoch and policy, for strategies that learn from the
    negatives in use and with `rescore` also on earlier selections, and in the last bit on the block size and scoring
    options; not on `shards` or the fleet. Use it as a context manager, or call `close`.

    Raises BadInput (or a subclass) for anything unusable, before any work is done.
    """

    def __init__(
        self,
        pool: BagDataset | str | Path,
        model: nn.Module | Callable[[], nn.Module],
        *,
        strategy: str | Strategy = "random",
        k: int | None = None,
        shards: int | None = None,
        seed: int = 0,
        fleet: str | None = None,
        positives: BagDataset | str | Path | None = None,
        target_label: str | None = None,
        head: str | None = None,
        outputs: str | None = None,
        collate: Collate | None = None,
        random_rounds: int = 0,
        staleness: int | None = None,
        target: int = 1,
        candidates: int | None = None,
        rescore: int | None = None,
        every: int = 1,
        score: str = "fresh",
        guard: Guards = _NO_GUARDS,
        policy: RoundPolicy | None = None,
        options: FleetConfig | None = None,
    ) -> None:
        require_kind(options, FleetConfig, "options")
        config = options or FleetConfig()
        config = config if fleet is None else dataclasses.replace(config, kind=fleet)
        config = config if shards is None else dataclasses.replace(config, shards=shards)
        shortcuts = RoundPolicy(random_rounds, staleness, candidates, rescore, every, score, guard)
        embedder, source = resolve_model(model, head, outputs, collate is not None)
        ragged = isinstance(embedder, BagClassifier)
        given = resolve_pool(pool, target_label)
        bags = BagSource.of(given, collate, ragged)
        positive_bags = BagSource.of(resolve_positives(positives, target_label), collate, ragged)
        self._pool = PoolHandle(bags.dataset, given)
        self._positives: int | None = len(positive_bags)
        self._columns, self._outputs = logit_columns(embedder), outputs
        self._has_head = not isinstance(embedder, AdaptedModule) or embedder.has_head
        self._task = Task(resolve_strategy(strategy), k, seed, target, resolve_policy(policy, shortcuts))
        self._state = SamplerState()
        self._require_fit()
        spec = ShardSpec(
            bags, positive_bags, source, config.shard_count(), config.block_size, config.cache_mb << 20, config.budget,
            scoring=config.scoring, device_bytes=config.device_bytes,
        )  # fmt: skip
        self._service: Service = start_service(spec, config)
        self._closes_service = True
        log.info(self._service.describe())

    @classmethod
    def over(
        cls, service: Service, pool: BagDataset, task: Task, columns: int | None = None, outputs: str | None = None
    ) -> Self:
        """A sampler of `pool` whose rounds another program's service runs; the model has so many logit columns."""
        sampler = cls.__new__(cls)
        sampler._pool, sampler._task = PoolHandle(pool), task
        sampler._state, sampler._columns, sampler._has_head = SamplerState(), columns, True
        sampler._outputs = outputs
        sampler._positives = None  # the service knows their number, and refuses the task if there are none
        sampler._require_fit()
        sampler._service, sampler._closes_service = service, True
        log.info(service.describe())
        return sampler

    def sibling(
        self,
        strategy: str | Strategy,
        *,
        k: int | None = None,
        seed: int = 0,
        target: int = 1,
        policy: RoundPolicy | None = None,
    ) -> "NegativeSampler":
        """A sampler for another run or strategy on the same shards, which end with this one; closing it leaves them."""
        other = copy.copy(self)
        other._task = Task(resolve_strategy(strategy), k, seed, target, resolve_policy(policy, RoundPolicy()))
        other._state, other._closes_service = SamplerState(), False
        other._require_fit()
        return other

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights` (a state dict of tensors or arrays).

        Whatever a model or pool in this process draws, the global random generators are left as they were.

        Raises BadWeights if they don't fit the model or aren't finite, ServiceError if the round can't be finished,
        and what the model or the pool raises, unchanged.
        """
        with generators_kept():
            return self.submit(weights, epoch).result()

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> PendingSelection:
        """Start a round and return at once; `.result(timeout_s)` gives the selection.

        `version` is the number of epochs after which the weights were taken, by default `epoch`; the
        selection's staleness is the difference. Raises BadInput if that is below 0 or above `staleness`.
        """
        self._pool.require_open()
        version = epoch if version is None else version
        check_version(version, epoch, self._task.policy.staleness)
        snapshot, state = self._pool.snapshot(take_snapshot(weights, version)), self._state
        round = self._task.round(epoch, self._pool.version, state.previous, scores_kept=state.scores is not None)
        guards = self._rank_guards(self._task.guards_at(epoch))
        round = dataclasses.replace(round, ranks=guards.needed(round, max(map(len, state.recent), default=0)))
        memory = state.recalled(round) if self._task.recalls_at(epoch) else None
        recalled = memory and RecalledPending(memory.select(self._task.strategy, round, version))
        pending: Pending = recalled or self._service.begin(self._task, round, snapshot)
        return PendingSelection(state, pending, round, guards, memory)

    def remember(self, index: Index, logits: Tensor | Array, version: int) -> None:
        """Remember what the model gave in training for the bags at `index` (n,), logits or as `outputs` says (n, K), by
        weights of `version`.

        Rounds with `score="memory"` go by them. Raises BadInput for positions out of range, and for outputs that are
        not finite or of another shape than the model's.
        """
        self._pool.require_open()
        require_whole("version", version)
        place, logits_NK = require_remembered(index, logits, version, len(self.pool), self._outputs)
        require_columns(logits_NK.shape[1], self._columns)
        require_column(self._task.target, logits_NK.shape[1])
        self._state.remember_logits(place, logits_NK, version, len(self.pool))

    @property
    def block(self) -> int:
        """The bags of a block, also where `fleet.block` is auto; 0 where another program's service decides that."""
        return self._service.block

    @property
    def pool(self) -> BagDataset:
        """The bags that selections are of; a table's know their ids: `sampler.pool.bag_id(chosen.index)`."""
        return self._pool.bags

    def refresh(self, version: int | None = None) -> int:
        """Use a version of the pool's table, by default the newest, from the next `submit` on; gives its number.

        Siblings use it, too; a round under way ends with the version it began with. Positions stay what they
        are. Raises BadInput where the pool is no table.
        """
        self._pool.refresh(version)
        return self._pool.version.version

    def state_dict(self) -> dict[str, Any]:  # Any: tensors and numbers
        """All that later selections depend on besides weights: last selection, kept scores, the table's version."""
        return self._state.state() | {"pool_version": self._pool.version.version}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`; raises BadInput if it is none, or one of another pool, and changes nothing."""
        pool = copy.copy(self._pool)
        if isinstance(state, Mapping) and state.get("pool_version"):
            require_whole("pool_version", state["pool_version"])
            pool.refresh(state["pool_version"])
        self._state.load(state, len(pool.bags))
        self._pool.bags, self._pool.version = pool.bags, pool.version

    def close(self, finish: bool = True) -> None:
        """Free the shards, if not done yet; a round under way is finished first, or given up unless `finish`.

        A sibling leaves the shards to its sampler; metrics no longer show its task.
        """
        if self._closes_service:
            self._service.close(finish)
            self._closes_service, self._pool.closed = False, True
        elif not self._pool.closed:
            self._service.end(self._task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(finish=kind is None)

    def _require_fit(self) -> None:
        """Raise BadInput if the task can't be served by this pool, this model and these positives."""
        require_head(self._task.strategy, self._has_head)
        require_column(self._task.target, self._columns)
        require_positives(self._task, self._positives)
        bags = len(self.pool)
        self._rank_guards(self._task.policy.guard).require_room(self._task.size(bags), bags)

    def _rank_guards(self, guards: Guards) -> RankGuards:
        """Those of the guards that go by ranks; raises BadInput if the pool doesn't know its sources."""
        return RankGuards(guards.of_ranks, self._pool.sources) if guards.per_source else RankGuards(guards.of_ranks)
