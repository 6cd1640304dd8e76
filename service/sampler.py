"""NegativeSampler, the public face: give it weights and an epoch, get the negatives worth training on."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from torch import nn

from common.errors import BadInput, UnknownName
from common.models.adapt import as_embedder
from common.models.bag import BagClassifier
from common.protocols import Sized
from common.types import Index, Need, Round, Selection
from common.weights import Weights, take_snapshot
from service.coordinator import Plan, check_round
from service.fleet import Pending, Service, Stock
from service.instances import shares_instances
from service.setup import FleetConfig, start_service
from service.source import BagSource, Collate
from service.strategies import StrategyConfig, make_strategy
from service.strategies.base import Strategy
from service.strategies.full import Full

log = logging.getLogger(__name__)


class NegativeSampler:
    """Picks k bags of `pool` an epoch, on shards in this process (`fleet="local"`) or on Ray actors (`"ray"`).

    `pool` and `positives` are map-style datasets of bags; `positives` is needed by strategies that
    learn from them. `model` is a BagClassifier or any module giving bag logits (N, K) whose last
    linear layer is `head`; it is copied, never changed. `strategy` is a name or an object. `k` may be
    left out for `full`. The picks depend on pool, weights, strategy, k, seed and epoch, and on
    nothing else: not on `shards`, not on the fleet. Use it as a context manager, or call `close`.

    Raises BadInput (and its kin) for anything unusable, before any work is done.
    """

    def __init__(
        self,
        pool: Sized,
        model: nn.Module,
        *,
        strategy: str | Strategy = "random",
        k: int | None = None,
        shards: int | None = None,
        seed: int = 0,
        fleet: Literal["local", "ray"] = "local",
        positives: Sized | None = None,
        head: str | None = None,
        collate: Collate | None = None,
        random_rounds: int = 0,
        target: int = 1,
        options: FleetConfig | None = None,
    ) -> None:
        chosen = make_strategy(StrategyConfig(strategy)) if isinstance(strategy, str) else strategy
        self._round = Round("", 0, seed, _resolve_k(k, chosen, len(pool)), target)
        self._needs_weights = chosen.need > Need.NOTHING
        _require_positives(chosen, positives)
        config = dataclasses.replace(options or FleetConfig(), kind=fleet)
        config = config if shards is None else dataclasses.replace(config, shards=shards)
        embedder = as_embedder(model, head)
        ragged = isinstance(embedder, BagClassifier)
        bags = BagSource(pool, collate, ragged)
        learnt = BagSource(positives if positives is not None else (), collate, ragged)
        stock = Stock(bags, learnt, embedder, config.shard_count(), config.block, config.cache_mb << 20)
        shared = shares_instances(bags, embedder)
        plan = Plan(chosen, len(pool), random_rounds, config.gather_mb << 20, shared)
        self._service: Service = start_service(stock, plan, config)
        log.info(self._service.describe())

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights` (a state dict of tensors or arrays).

        Raises BadWeights if they don't fit the model or aren't finite; ServiceError if a round can't
        be finished; the model's own exceptions as they are.
        """
        return self.submit(weights, epoch).result()

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> "Chosen":
        """Start a round and return at once; `.result(timeout_s)` gives the selection.

        `version` says after how many epochs the weights were taken, `epoch` if it is left out; the
        selection's staleness is the difference.
        """
        snapshot = take_snapshot(weights, epoch if version is None else version)
        round = dataclasses.replace(self._round, epoch=epoch)
        return Chosen(self, self._service.begin(round, snapshot), epoch)

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """All that later selections depend on besides the weights: the last selection."""
        return {"previous": self._round.previous}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Go on from a `state_dict`."""
        self._remember(state["previous"])

    def close(self) -> None:
        """Let go of the shards; a round under way is finished first."""
        self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remember(self, previous: Index | None) -> None:
        self._round = dataclasses.replace(self._round, previous=previous)


@dataclass(frozen=True)
class Chosen:
    """A selection on its way to the sampler that asked for it."""

    sampler: NegativeSampler
    pending: Pending
    epoch: int

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection; raises TimeoutError after `timeout_s`, and can be called again."""
        selection = self.pending.result(timeout_s)
        self.sampler._remember(selection.index)
        return dataclasses.replace(selection, staleness=self.epoch - selection.version)


def _resolve_k(k: int | None, strategy: Strategy, pool: int) -> int:
    if isinstance(strategy, Full):
        return pool
    if k is None:
        raise BadInput("no k", "how many negatives to select each epoch", "give k=, or strategy='full'")
    check_round(k, pool)
    return int(k)


def _require_positives(strategy: Strategy, positives: Sized | None) -> None:
    if strategy.learns_from_positives and (positives is None or not len(positives)):
        found = "no positives" if positives is None else "0 positives"
        raise BadInput(
            f"{found} for {type(strategy).__name__}", "the positive bags, from which it learns", "give positives="
        )
