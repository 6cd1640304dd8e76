"""What a sampler's later selections depend on besides weights, and the selection under way that changes it."""

from collections.abc import Mapping, Sequence
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
from negsift.service.selection.guards import RankGuards, source_numbers
from negsift.service.selection.logit_memory import LogitMemory
from negsift.service.selection.score_table import ScoreTable, column_of


class PoolHandle:
    """The pool and its version now, and whether the shards are closed; siblings share it."""

    closed = False

    def __init__(self, bags: BagDataset, given: BagDataset | None = None) -> None:
        """`given` is the dataset that was given, which may know more than the packed `bags`."""
        self.bags, self._given = bags, bags if given is None else given
        self.version = PoolVersion(bags.version if isinstance(bags, TableBags) else 0, len(bags))
        self._sources: tuple[PoolVersion, Index] | None = None

    def require_open(self) -> None:
        """Raise BadInput once the sampler is closed."""
        if self.closed:
            raise BadInput("a closed sampler", "one that is open", "use it within the with-block, before close()")

    @property
    def sources(self) -> Index:
        """The number of every bag's source, (n,), read once a version; raises BadInput where the pool names none."""
        if self._sources is None or self._sources[0] != self.version:
            self._sources = self.version, source_numbers(self.bags if isinstance(self.bags, TableBags) else self._given)
        return self._sources[1]

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

    `rounds` counts those begun, and `known` is the number of the one that `previous` is of. `recent` are the last
    selections in the order of their results, as many as their bags rest for rounds.
    """

    previous: Index | None = None
    scores: ScoreTable | None = None
    memory: LogitMemory | None = None
    rounds: int = 0
    known: int = 0
    recent: tuple[Index, ...] = ()

    def begin(self) -> int:
        """The number of a round that begins."""
        self.rounds += 1
        return self.rounds

    def remember(self, number: int, index: Index, rest: int) -> None:
        """Take the selection of a round for the last one, unless a later round's is known already; its bags `rest`."""
        self.recent = (*self.recent, index)[-rest:] if rest else ()
        if number >= self.known:
            self.previous, self.known = index, number

    def state(self) -> dict[str, Any]:  # Any: tensors, which torch.load takes with weights_only=True
        """A copy of everything."""
        previous = None if self.previous is None else torch.tensor(self.previous)
        kept = self.scores.state() if self.scores else None
        remembered = {"remembered": self.memory.state()} if self.memory else {}
        resting = {"recent": _joined(self.recent)} if self.recent else {}
        return {"previous": previous, "kept": kept, **remembered, **resting}

    def load(self, state: Mapping[str, Any], pool: int) -> None:  # Any: as above
        """Continue from a `state`; raises BadInput if it is none, or one of a pool of other than `pool` bags."""
        if not isinstance(state, Mapping) or "previous" not in state:
            raise BadInput(f"a state of type {type(state).__name__} without 'previous'", "a state_dict()", "give one")
        given, kept = state["previous"], state.get("kept")
        previous = None if given is None else _positions(given, "previous", pool)
        recent = _separated(state.get("recent"), pool)
        scores = None if kept is None else ScoreTable.from_state(kept, pool)
        remembered = state.get("remembered")
        self.memory = None if remembered is None else LogitMemory.from_state(remembered, pool)
        self.previous, self.scores, self.known, self.recent = previous, scores, 0, recent

    def remember_logits(self, index: Index, logits: Array, version: int, pool: int) -> None:
        """Remember the logits (n, K) of bags of a pool of that size; raises BadInput for another number of classes."""
        memory = (self.memory or LogitMemory.empty(pool, logits.shape[1])).resized(pool)
        if logits.shape[1] != memory.logits.shape[1]:
            found = f"logits of {logits.shape[1]} classes after those of {memory.logits.shape[1]}"
            raise BadInput(found, "as many each time", "give the bag logits of one model")
        self.memory = memory.updated(index, logits, version)

    def recalled(self, round: Round) -> LogitMemory:
        """What is remembered of the round's pool."""
        return (self.memory or LogitMemory.empty(round.pool.bags, 1)).resized(round.pool.bags)

    def choose(self, answer: Selection, round: Round, guards: RankGuards, memory: LogitMemory | None) -> Selection:
        """The selection that follows from an answer by `memory`, or else by the shards, and from earlier rounds."""
        ranked = self._fold(answer, round) if round.all_scores else answer
        aged = self.scores if round.all_scores else memory
        chosen = guards.choose(ranked, round, self.recent)
        if aged is None:
            return chosen
        return replace(chosen, account=replace(chosen.account, ages=aged.ages(chosen.index, chosen.version)))

    def _fold(self, scored: Selection, round: Round) -> Selection:
        """The best bags by the scores in `scored` and those kept before."""
        before = (self.scores or ScoreTable.empty(round.pool.bags)).resized(round.pool.bags)
        self.scores = before.updated(scored.index, scored.score, scored.version)
        index, score = self.scores.best(round.k, round.ranks)
        account = replace(scored.account, considered=self.scores.considered)
        return replace(scored, index=index, score=score, weight=np.ones(len(index)), account=account)


class PendingSelection:
    """A selection on its way to the sampler that asked for it."""

    def __init__(
        self, state: SamplerState, pending: Pending, round: Round, guards: RankGuards, memory: LogitMemory | None
    ) -> None:
        """`memory` is what the selection goes by, if it goes by remembered logits."""
        self._state, self._pending, self._round, self._number = state, pending, round, state.begin()
        self._guards, self._memory = guards, memory
        self._selection: Selection | None = None

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection. Raises StillRunning, a TimeoutError, after `timeout_s`; then wait again."""
        if self._selection is None:
            answer = self._wait(timeout_s)
            selection = self._state.choose(answer, self._round, self._guards, self._memory)
            self._selection = replace(selection, staleness=self._round.epoch - selection.version)
            self._state.remember(self._number, selection.index, self._guards.guards.rest)
        return self._selection

    def _wait(self, timeout_s: float | None) -> Selection:
        try:
            return self._pending.result(timeout_s)
        except StillRunning:
            raise StillRunning(f"no selection within {timeout_s:g} s") from None


def _positions(values: object, name: str, pool: int) -> Index:
    """Distinct positions of a selection in a state; raises BadInput for others."""
    index = column_of(values, name, "iu").astype(np.int64)
    if len(index) and not 0 <= index.min() <= index.max() < pool:
        found = f"a state with positions {index.min()} to {index.max()}"
        raise BadInput(found, f"0 to {pool - 1}", "give a state of this pool")
    if len(np.unique(index)) < len(index):
        raise BadInput("a state with a position twice", "distinct positions", "give a state_dict()")
    return index


def _joined(selections: Sequence[Index]) -> dict[str, Any]:  # Any: tensors
    """Selections end to end, and where each ends."""
    ends = np.cumsum([len(index) for index in selections])
    return {"index": torch.tensor(np.concatenate(selections)), "end": torch.tensor(ends)}


def _separated(state: object, pool: int) -> tuple[Index, ...]:
    """The selections that `_joined` put end to end; raises BadInput for what it did not write."""
    if state is None:
        return ()
    if not isinstance(state, Mapping) or not {"index", "end"} <= state.keys():
        raise BadInput("a state whose 'recent' is of another form", "'index' and 'end'", "give a state_dict()")
    index, end = (column_of(state[name], name, "iu").astype(np.int64) for name in ("index", "end"))
    if (np.diff(end, prepend=0) < 0).any() or (end[-1] if len(end) else 0) != len(index):
        raise BadInput("a state whose recent selections end elsewhere", "as long as they are", "give a state_dict()")
    return tuple(_positions(part, "recent", pool) for part in np.split(index, end[:-1]))
