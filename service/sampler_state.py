"""What a sampler's later selections depend on besides weights: the last selection, and scores that are kept."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from negsift.common.arrays import Index
from negsift.common.protocols import Pending
from negsift.common.types import PoolVersion, Round, Selection
from negsift.service.arguments import previous_of
from negsift.service.selection.score_table import ScoreTable


class SamplerState:
    """Of one sampler; none of it is anywhere else, so it goes through a checkpoint whole."""

    def __init__(self) -> None:
        self.previous: Index | None = None
        self.kept: ScoreTable | None = None

    def state(self) -> dict[str, Any]:  # Any: tensors, which torch.load takes without trust
        """All of it, copied."""
        previous = None if self.previous is None else torch.tensor(self.previous)
        return {"previous": previous, "kept": self.kept.state() if self.kept else None}

    def load(self, state: Mapping[str, Any], pool: int) -> None:  # Any: as above
        """Go on from a `state`; raises BadInput if it is none, or one of another pool."""
        self.previous = previous_of(state, pool)
        self.kept = ScoreTable.of(state["kept"], pool) if state.get("kept") else None

    def chosen(self, found: Selection, k: int, pool_version: PoolVersion) -> Selection:
        """The selection that follows from the scores in `found` and those kept before."""
        before = (self.kept or ScoreTable.none(pool_version.bags)).resized(pool_version.bags)
        self.kept = before.folded(found.index, found.score, found.version)
        index, score, ages = self.kept.best(k, found.version)
        account = dataclasses.replace(found.account, ages=ages, considered=self.kept.considered)
        return dataclasses.replace(found, index=index, score=score, weight=np.ones(k), account=account)


class PendingSelection:
    """A selection on its way to the sampler that asked for it."""

    def __init__(self, memory: SamplerState, pending: Pending, asked: Round, k: int) -> None:
        """`k` bags of the round `asked`, which may score more."""
        self._memory, self._pending, self._asked, self._k = memory, pending, asked, k
        self._selection: Selection | None = None

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection; raises TimeoutError after `timeout_s`, and can be called again."""
        if self._selection is None:
            self._selection = self._finish(self._pending.result(timeout_s))
            self._memory.previous = self._selection.index
        return self._selection

    def _finish(self, found: Selection) -> Selection:
        pool_version = self._asked.pool_version
        if self._asked.at_most and pool_version is not None:
            found = self._memory.chosen(found, self._k, pool_version)
        return dataclasses.replace(found, staleness=self._asked.epoch - found.version)
