"""Scores kept from round to round, of which each round makes only a part anew (`rescore`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from negsift.common.account import Ages
from negsift.common.arrays import Floats, Index
from negsift.common.errors import BadInput
from negsift.service.top_k import top_k


@dataclass(frozen=True)
class ScoreTable:
    """A bag's last finite `score` (pool,), NaN if it has none, and the `version` (pool,) of the weights that made it.

    12 bytes a bag, held where the selections are asked for; so a scorer that dies takes none of them along.
    """

    score: Floats
    version: NDArray[np.int32]

    @classmethod
    def none(cls, pool: int) -> Self:
        """Those of a pool that was never scored."""
        return cls(np.full(pool, np.nan), np.full(pool, -1, dtype=np.int32))

    @classmethod
    def of(cls, state: Mapping[str, Any], pool: int) -> Self:  # Any: tensors or arrays
        """What `state` gave; raises BadInput if it is of a larger pool than this one."""
        if len(state["score"]) > pool:
            raise BadInput(f"kept scores of {len(state['score'])} bags", f"{pool} at most", "give this pool's state")
        return cls(np.array(state["score"], dtype=np.float64), np.array(state["version"], dtype=np.int32))

    def state(self) -> dict[str, Any]:  # Any: as above
        """Both by name, copied."""
        return {"score": torch.tensor(self.score), "version": torch.tensor(self.version)}

    def resized(self, pool: int) -> "ScoreTable":
        """The scores of a pool of another version; bags that are new have none."""
        kept, new = slice(min(pool, len(self.score))), ScoreTable.none(pool)
        new.score[kept], new.version[kept] = self.score[kept], self.version[kept]
        return new

    def folded(self, index: Index, score: Floats, version: int) -> "ScoreTable":
        """With the scores of these bags made anew by weights of `version`, where none of later weights is kept."""
        new, late = ScoreTable(self.score.copy(), self.version.copy()), self.version[index] > version
        new.score[index[~late]], new.version[index[~late]] = score[~late], version
        return new

    def best(self, k: int, version: int) -> tuple[Index, Floats, Ages]:
        """The k bags of the highest scores, best first, and the scores' ages as weights are of `version` now.

        Raises BadInput if fewer than k have one.
        """
        scored = np.flatnonzero(np.isfinite(self.score))
        if len(scored) < k:
            raise BadInput(
                f"{len(scored)} bags with finite scores of {len(self.score)}", f"{k} at least",
                "look for NaN in the pool's bags, or lower k",
            )  # fmt: skip
        rows = scored[top_k(scored, self.score[scored], k)]
        ages = np.maximum(version - self.version.astype(np.int64), 0)
        oldest = int(ages[scored].max(initial=0))
        return rows, self.score[rows], Ages(oldest, float(ages[rows].mean()) if k else 0.0)

    @property
    def considered(self) -> int:
        """How many bags have a score."""
        return int(np.isfinite(self.score).sum())
