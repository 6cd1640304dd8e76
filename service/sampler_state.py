"""What a sampler's later selections depend on besides weights, and the selection under way that changes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from negsift.common.arrays import Array, Index
from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags
from negsift.common.errors import BadInput, StillRunning
from negsift.common.protocols import Pending
from negsift.common.types import PoolVersion, Round, Selection, Snapshot
from negsift.service.selection.logit_memory import LogitMemory
from negsift.service.selection.score_table import ScoreTable, column_of
from negsift.service.strategies.base import Strategy


class PoolHandle:
    """The pool and its version now, and whether the shards are closed; siblings share it."""

    closed = False

    def __init__(self, bags: BagDataset) -> None:
        self.bags = bags
        self.version = PoolVersion(bags.version if isinstance(bags, TableBags) else 0, len(bags))

    def refresh(self, version: int | None) -> None:
        """Take another version of the table, by default the newest; raises BadInput where the pool is no table."""
        if not isinstance(self.bags, TableBags):
            raise BadInput("a pool that is no bag table", "one given by its path or URI", "make one with `pool build`")
        self.bags = self.bags.at(version)
        self.version = PoolVersion(self.bags.version, len(self.bags))

    def snapshot(self, weights: Snapshot) -> Snapshot:
        """The weights for this version of the pool, under a digest that also differs between versions.

        Raises BadInput if the pool has another number of bags than the shards were made for.
        """
        version = self.version.version
        if len(self.bags) != self.version.bags:
            found = f"a pool of {len(self.bags):,} bags, which had {self.version.bags:,} when its sampler was made"
            raise BadInput(
                found, "a pool that stays as it is", "make another sampler, or use a bag table, which may grow"
            )
        return replace(weights, digest=f"{weights.digest}@{version}", pool_version=version) if version else weights


@dataclass
class SamplerState:
    """The last selection and, with `rescore`, the scores kept, or the logits remembered; a checkpoint holds all of it.

    `rounds` counts those begun, and `known` is the number of the one that `previous` is of.
    """

    previous: Index | None = None
    scores: ScoreTable | None = None
    memory: LogitMemory | None = None
    rounds: int = 0
    known: int = 0

    def begin(self) -> int:
        """The number of a round that begins."""
        self.rounds += 1
        return self.rounds

    def remember(self, number: int, index: Index) -> None:
        """Take the selection of a round for the last one, unless a later round's is known already."""
        if number >= self.known:
            self.previous, self.known = index, number

    def state(self) -> dict[str, Any]:  # Any: tensors, which torch.load takes with weights_only=True
        """A copy of everything."""
        previous = None if self.previous is None else torch.tensor(self.previous)
        kept = self.scores.state() if self.scores else None
        remembered = {"remembered": self.memory.state()} if self.memory else {}
        return {"previous": previous, "kept": kept, **remembered}

    def load(self, state: Mapping[str, Any], pool: int) -> None:  # Any: as above
        """Continue from a `state`; raises BadInput if it is none, or one of a pool of other than `pool` bags."""
        if not isinstance(state, Mapping) or "previous" not in state:
            raise BadInput(f"a state of type {type(state).__name__} without 'previous'", "a state_dict()", "give one")
        given, kept = state["previous"], state.get("kept")
        previous = None if given is None else column_of(given, "previous", "iu").astype(np.int64)
        if previous is not None and len(previous) and not 0 <= previous.min() <= previous.max() < pool:
            found = f"a state with positions {previous.min()} to {previous.max()}"
            raise BadInput(found, f"0 to {pool - 1}", "give a state of this pool")
        if previous is not None and len(np.unique(previous)) < len(previous):
            raise BadInput("a state with a position twice", "distinct positions", "give a state_dict()")
        scores = None if kept is None else ScoreTable.from_state(kept, pool)
        remembered = state.get("remembered")
        self.memory = None if remembered is None else LogitMemory.from_state(remembered, pool)
        self.previous, self.scores, self.known = previous, scores, 0

    def remember_logits(self, index: Index, logits: Array, version: int, pool: int) -> None:
        """Remember the logits (n, K) of bags of a pool of that size; raises BadInput for another number of classes."""
        memory = (self.memory or LogitMemory.empty(pool, logits.shape[1])).resized(pool)
        if logits.shape[1] != memory.logits.shape[1]:
            found = f"logits of {logits.shape[1]} classes after those of {memory.logits.shape[1]}"
            raise BadInput(found, "as many each time", "give the bag logits of one model")
        self.memory = memory.updated(index, logits, version)

    def recall(self, strategy: Strategy, round: Round, version: int) -> Selection:
        """The round's selection by what is remembered."""
        memory = self.memory or LogitMemory.empty(round.pool.bags, 1)
        return memory.resized(round.pool.bags).select(strategy, round, version)

    def fold(self, scored: Selection, round: Round) -> Selection:
        """The selection that follows from the scores in `scored` and those kept before."""
        before = (self.scores or ScoreTable.empty(round.pool.bags)).resized(round.pool.bags)
        self.scores = before.updated(scored.index, scored.score, scored.version)
        index, score, ages = self.scores.best(round.k, scored.version)
        account = replace(scored.account, ages=ages, considered=self.scores.considered)
        return replace(scored, index=index, score=score, weight=np.ones(round.k), account=account)


class PendingSelection:
    """A selection on its way to the sampler that asked for it."""

    def __init__(self, state: SamplerState, pending: Pending, round: Round) -> None:
        self._state, self._pending, self._round, self._number = state, pending, round, state.begin()
        self._selection: Selection | None = None

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection. Raises StillRunning, a TimeoutError, after `timeout_s`; then wait again."""
        if self._selection is None:
            selection = self._wait(timeout_s)
            if self._round.all_scores:
                selection = self._state.fold(selection, self._round)
            self._selection = replace(selection, staleness=self._round.epoch - selection.version)
            self._state.remember(self._number, selection.index)
        return self._selection

    def _wait(self, timeout_s: float | None) -> Selection:
        try:
            return self._pending.result(timeout_s)
        except StillRunning:
            raise StillRunning(f"no selection within {timeout_s:g} s") from None
