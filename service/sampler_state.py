"""What a sampler's later selections depend on besides weights, and the selection under way that changes it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from negsift.common.arrays import Index
from negsift.common.errors import BadInput
from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection
from negsift.service.selection.score_table import ScoreTable


class SamplerState:
    """The last selection and, with `rescore`, the scores kept; a checkpoint holds all of it."""

    def __init__(self) -> None:
        self.previous: Index | None = None
        self.scores: ScoreTable | None = None

    def state(self) -> dict[str, Any]:  # Any: tensors, which torch.load takes with weights_only=True
        """A copy of everything."""
        previous = None if self.previous is None else torch.tensor(self.previous)
        return {"previous": previous, "kept": self.scores.state() if self.scores else None}

    def load(self, state: Mapping[str, Any], pool: int) -> None:  # Any: as above
        """Continue from a `state`; raises BadInput if it is none, or one of a pool of other than `pool` bags."""
        self.previous = _previous(state, pool)
        self.scores = ScoreTable.from_state(state["kept"], pool) if state.get("kept") else None

    def fold(self, scored: Selection, round: Round) -> Selection:
        """The selection that follows from the scores in `scored` and those kept before."""
        before = (self.scores or ScoreTable.empty(round.pool.bags)).resized(round.pool.bags)
        self.scores = before.updated(scored.index, scored.score, scored.version)
        index, score, ages = self.scores.best(round.k, scored.version)
        account = dataclasses.replace(scored.account, ages=ages, considered=self.scores.considered)
        return dataclasses.replace(scored, index=index, score=score, weight=np.ones(round.k), account=account)


class PendingSelection:
    """A selection on its way to the sampler that asked for it."""

    def __init__(self, state: SamplerState, pending: Pending, round: Round) -> None:
        self._state, self._pending, self._round = state, pending, round
        self._selection: Selection | None = None

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection. Raises TimeoutError after `timeout_s`, and can be called again then."""
        if self._selection is None:
            self._selection = self._finish(self._wait(timeout_s))
            self._state.previous = self._selection.index
        return self._selection

    def _wait(self, timeout_s: float | None) -> Selection:
        try:
            return self._pending.result(timeout_s)
        except TimeoutError as error:
            if timeout_s is None or error.args:  # the model's own
                raise
            raise TimeoutError(f"no selection within {timeout_s:g} s") from None

    def _finish(self, selection: Selection) -> Selection:
        if self._round.all_scores:
            selection = self._state.fold(selection, self._round)
        return dataclasses.replace(selection, staleness=self._round.epoch - selection.version)


def _previous(state: Mapping[str, Any], pool: int) -> Index | None:  # Any: tensors, arrays and numbers
    """The last selection in a sampler's `state_dict`."""
    if not isinstance(state, Mapping) or "previous" not in state:
        raise BadInput(f"a state of type {type(state).__name__} without 'previous'", "a state_dict()", "give that")
    if state["previous"] is None:
        return None
    previous: Index = np.array(state["previous"], dtype=np.int64)
    if len(previous) and not 0 <= previous.min() <= previous.max() < pool:
        raise BadInput(
            f"a state with position {previous.max()}", f"positions in a pool of {pool}", "give this pool's state"
        )
    return previous
