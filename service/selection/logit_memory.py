"""Logits of bags as training saw them, by which a round chooses without a forward pass (`score=memory`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from negsift.common.account import Account, Ages
from negsift.common.arrays import Array, Index
from negsift.common.errors import BadInput
from negsift.common.models.outputs import remembered_logits
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Embedded, EmbeddingSpec, Picked, Round, Selection
from negsift.service.points.bag_points import PointsSpec
from negsift.service.points.shared_points import SharedPoints
from negsift.service.selection.enough import require_enough
from negsift.service.selection.score_table import column_of
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.contract import candidates, check_picks
from negsift.service.top_k import merge


@dataclass(frozen=True)
class LogitMemory:
    """A bag's last `logits` (pool, K) in training, and the `version` (pool,) of the weights behind them, -1 for none.

    It takes 4 K + 4 bytes a bag and stays with the sampler.
    """

    logits: NDArray[np.float32]
    version: NDArray[np.int32]

    @classmethod
    def empty(cls, pool: int, columns: int) -> Self:
        """The memory of a pool of which no bag was trained on."""
        return cls(np.zeros((pool, columns), np.float32), np.full(pool, -1, np.int32))

    @classmethod
    def from_state(cls, state: Mapping[str, Any], pool: int) -> Self:  # Any: tensors or arrays
        """The memory that gave `state`; raises BadInput if it is none, or one of a larger pool."""
        if not isinstance(state, Mapping) or not {"logits", "version", "columns"} <= state.keys():
            found = f"remembered logits of type {type(state).__name__}"
            raise BadInput(found, "'logits', 'version' and 'columns'", "give a state_dict()")
        flat, version = column_of(state["logits"], "logits", "f"), column_of(state["version"], "version", "iu")
        columns = state["columns"]
        fits = isinstance(columns, int) and columns > 0 and len(flat) == columns * len(version)
        if not fits or len(version) > pool:
            found = f"remembered logits of {len(version)} bags in {columns!r} columns"
            raise BadInput(found, f"those of {pool} at most, as many as versions", "give this pool's state")
        if (version < -1).any():
            raise BadInput(f"remembered logits of version {version.min()}", "0 or more, or -1", "give a state_dict()")
        return cls(require_finite(flat.reshape(-1, columns)), version.astype(np.int32))

    def state(self) -> dict[str, Any]:  # Any: as above
        """Copies of both arrays by name; the logits end to end."""
        logits, version = torch.tensor(self.logits.ravel()), torch.tensor(self.version)
        return {"logits": logits, "version": version, "columns": self.logits.shape[1]}

    def resized(self, pool: int) -> "LogitMemory":
        """The memory for another version of the pool; nothing is remembered of new bags."""
        common, new = slice(min(pool, len(self.version))), LogitMemory.empty(pool, self.logits.shape[1])
        new.logits[common], new.version[common] = self.logits[common], self.version[common]
        return new

    def updated(self, index: Index, logits: Array, version: int) -> "LogitMemory":
        """With the logits of these bags, by weights of `version`; of a bag that is there twice, with its last ones."""
        new = LogitMemory(self.logits.copy(), self.version.copy())
        new.logits[index], new.version[index] = logits, version
        return new

    def recalled(self, round: Round) -> Embedded:
        """What is remembered of every bag of the pool; a bag that was never seen has the logits of one that was.

        Each takes those of a bag drawn for it (hot-deck imputation), so that bags never seen are chosen about as
        often as others. Raises BadInput if none was seen.
        """
        seen = np.flatnonzero(self.version >= 0)
        if not len(seen):
            found, remedy = "score=memory before any bag was trained on", "raise random_rounds above the staleness"
            raise BadInput(found, "rounds at random until then", f"{remedy}, or call remember()")
        index = np.arange(len(self.version), dtype=np.int64)
        unseen, donor = index[self.version < 0], index.copy()
        draws = uniform_keys(stream_key(round.seed, "memory", round.epoch), unseen)
        donor[unseen] = seen[np.minimum((draws * len(seen)).astype(np.int64), len(seen) - 1)]
        return Embedded(index, self.logits[donor], np.zeros((len(index), 0), np.float32))

    def select(self, strategy: Strategy, round: Round, version: int) -> Selection:
        """The round's negatives by what is remembered; nothing goes through the model."""
        picked = strategy.pick(RecalledView(self.recalled(round)), {}, round)
        check_picks(strategy, picked.candidates, round)
        require_enough(picked.candidates, round)
        index, score = picked.candidates.index, picked.candidates.score
        weight = np.ones(len(index)) if picked.weight is None else picked.weight
        dropped = picked.candidates.dropped
        account = Account(considered=len(self.version), dropped=dropped, pool_version=round.pool.version)
        return Selection(index, score, weight, version, account=account, draw=picked.draw)

    def ages(self, chosen: Index, version: int) -> Ages:
        """The ages of all that is remembered, and of what is of the `chosen` bags, at weights of `version`."""
        ages, known = np.maximum(version - self.version.astype(np.int64), 0), self.version >= 0
        mean = float(ages[chosen][known[chosen]].mean()) if known[chosen].any() else 0.0
        return Ages(int(ages[known].max(initial=0)), mean)


@dataclass(frozen=True)
class RecalledView(PoolView):
    """The pool as a strategy sees it in a round without a forward pass."""

    embedded: Embedded

    def top_k(self, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
        """The `round.most` bags that `strategy` scores highest."""
        return Picked(merge([candidates(strategy, [self.embedded], prepared, round)], round.most))

    def embed_pool(self, spec: EmbeddingSpec, index: Index | None = None) -> Embedded:
        """The logits of all bags, or of those at `index`."""
        return self.embedded if index is None else self.embedded.take(np.sort(index))

    def points(self, spec: PointsSpec) -> SharedPoints:
        """Raise BadInput: logits are remembered, not features."""
        raise BadInput("score=memory with a strategy of points", "one of logits", "use score=fresh")


@dataclass(frozen=True)
class RecalledPending:
    """A selection by memory, which is there as soon as it is asked for."""

    selection: Selection

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """The selection."""
        return self.selection


def require_remembered(
    index: object, logits: object, version: int, pool: int, outputs: str | None = None
) -> tuple[Index, NDArray[np.float32]]:
    """Positions (n,) below `pool`, which may repeat, and the logits (n, K) of what the model gave for them, in the form
    that `outputs` says; raises BadInput for others, and BadModel for probabilities that are none.
    """
    place = np.asarray(index.cpu() if isinstance(index, torch.Tensor) else index)
    place = place.astype(np.int64) if not place.size else place
    if place.ndim != 1 or place.dtype.kind not in "iu":
        raise BadInput(f"positions {place.dtype}{place.shape}", "whole numbers (bags,)", "give selection.index")
    values = _in_main_memory(logits)
    if values.ndim != 2 or len(values) != len(place) or values.dtype.kind != "f":
        found = f"logits {values.dtype}{values.shape} of {len(place)} bags"
        raise BadInput(found, "floats (bags, classes)", "give the model's outputs of the bags")
    if len(place) and not 0 <= place.min() <= place.max() < pool:
        raise BadInput(f"positions {place.min()} to {place.max()}", f"0 to {pool - 1}", "give positions of the pool")
    if not 0 <= version < 1 << 31:
        raise BadInput(f"version={version}", "0 to 2,147,483,647", "count epochs from 0")
    logits_NK = remembered_logits(torch.tensor(values), outputs)
    return place.astype(np.int64), require_finite(logits_NK.numpy())


def _in_main_memory(logits: object) -> Array:
    if not isinstance(logits, torch.Tensor):
        return np.asarray(logits)
    if logits.is_meta or logits.layout != torch.strided:
        raise BadInput(f"logits on {logits.device}, {logits.layout}", "a dense tensor with values", "give logits")
    return np.asarray(logits.detach().float().cpu())


def require_finite(logits: Array) -> NDArray[np.float32]:
    """The logits in float32; raises BadInput if one is not finite there."""
    with np.errstate(over="ignore"):
        values = logits.astype(np.float32)
    if not np.isfinite(values).all():
        found = f"{int((~np.isfinite(values)).any(1).sum())} bags whose logits are not finite in float32"
        raise BadInput(found, "finite logits", "lower the learning rate")
    return values
