"""The last score of every bag, of which each round computes only a part again (`rescore`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.account import Ages
from negsift.common.arrays import Floats, Index
from negsift.common.errors import BadInput
from negsift.service.selection.task import lacking_scores
from negsift.service.top_k import top_k

_KEPT = (torch.int32, torch.int64, torch.float32, torch.float64)


@dataclass(frozen=True)
class ScoreTable:
    """A bag's last finite `score` (pool,), NaN if it has none, and the `version` (pool,) of the weights behind it.

    It takes 12 bytes a bag and stays with the sampler, so a scorer that dies loses none of it.
    """

    score: Floats
    version: NDArray[np.int32]

    @classmethod
    def empty(cls, pool: int) -> Self:
        """The table of a pool that was never scored."""
        return cls(np.full(pool, np.nan), np.full(pool, -1, dtype=np.int32))

    @classmethod
    def from_state(cls, state: Mapping[str, Any], pool: int) -> Self:  # Any: tensors or arrays
        """The table that gave `state`; raises BadInput if it is none, or one of a larger pool."""
        if not isinstance(state, Mapping) or not {"score", "version"} <= state.keys():
            raise BadInput(
                f"kept scores of type {type(state).__name__}", "'score' and 'version'", "give a state_dict()"
            )
        score, version = column_of(state["score"], "score", "f"), column_of(state["version"], "version", "iu")
        if len(score) > pool:
            raise BadInput(f"kept scores of {len(score)} bags", f"{pool} at most", "give this pool's state")
        if len(version) != len(score):
            found = f"kept scores of {len(score)} bags and versions of {len(version)}"
            raise BadInput(found, "as many of both", "give a state_dict()")
        return cls(score.astype(np.float64), version.astype(np.int32))

    def state(self) -> dict[str, Any]:  # Any: as above
        """Copies of both columns by name."""
        return {"score": torch.tensor(self.score), "version": torch.tensor(self.version)}

    def resized(self, pool: int) -> "ScoreTable":
        """The table for another version of the pool; new bags have no score."""
        common, new = slice(min(pool, len(self.score))), ScoreTable.empty(pool)
        new.score[common], new.version[common] = self.score[common], self.version[common]
        return new

    def updated(self, index: Index, score: Floats, version: int) -> "ScoreTable":
        """With the scores of these bags by weights of `version`, but for bags scored by later weights already."""
        new, late = ScoreTable(self.score.copy(), self.version.copy()), self.version[index] > version
        new.score[index[~late]], new.version[index[~late]] = score[~late], version
        return new

    def best(self, k: int, ranks: int = 0) -> tuple[Index, Floats]:
        """The k best bags or up to `ranks` of them, best first, and their scores; raises BadInput for fewer than k."""
        scored = np.flatnonzero(np.isfinite(self.score))
        if len(scored) < k:
            raise lacking_scores(len(scored), len(self.score), k)
        rows = scored[top_k(scored, self.score[scored], max(k, ranks))]
        return rows, self.score[rows]

    def ages(self, chosen: Index, version: int) -> Ages:
        """The ages of all scores, and of those of the `chosen` bags, at weights of `version`."""
        ages = np.maximum(version - self.version.astype(np.int64), 0)
        mean = float(ages[chosen].mean()) if len(chosen) else 0.0
        return Ages(int(ages[np.isfinite(self.score)].max(initial=0)), mean)

    @property
    def considered(self) -> int:
        """The number of bags that have a score."""
        return int(np.isfinite(self.score).sum())


def column_of(values: object, name: str, kinds: str) -> NDArray[Any]:  # Any: numbers of one of `kinds`
    """An entry of a sampler's state as an array (n,) of its own; raises BadInput for anything but numbers in a row."""
    numbers = values.cpu().numpy() if isinstance(values, Tensor) and values.dtype in _KEPT else values
    if not isinstance(numbers, np.ndarray) or numbers.ndim != 1 or numbers.dtype.kind not in kinds:
        form = f" of {values.dtype}, {tuple(values.shape)}" if isinstance(values, (Tensor, np.ndarray)) else ""
        expected = "whole numbers in a row" if "i" in kinds else "numbers in a row"
        raise BadInput(f"a state whose {name!r} is a {type(values).__name__}{form}", expected, "give a state_dict()")
    return numbers.copy()
