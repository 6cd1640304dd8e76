"""How much of the pool a round scores: all of it, some candidates, or a part while other scores are kept."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from negsift.common.block_subset import BlockSubset
from negsift.common.errors import BadInput
from negsift.common.types import Need, Round
from negsift.service.strategies.base import Strategy


@dataclass(frozen=True)
class Scope:
    """`candidates`: so many bags compete in a round, another part of the pool each time. `rescore`: so many are
    scored anew, and compete with the last scores of all others. Neither: all are scored.

    Parts are whole blocks, in turn; a round comes every `every` epochs. Strategies that score nothing are
    free of all this.
    """

    candidates: int | None = None
    rescore: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("candidates", "rescore", "every"):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, (int, np.integer)) or given < 1):
                raise BadInput(f"{name}={given!r}", "a whole number of at least 1", f"correct {name}=")
        if self.candidates and self.rescore:
            raise BadInput(
                f"candidates={self.candidates} and rescore={self.rescore}", "one of them at most", "leave one out"
            )

    def check(self, strategy: Strategy, k: int) -> None:
        """Raise BadInput where the strategy can't choose k bags so."""
        if not strategy.need:
            return
        if self.candidates and self.candidates < k:
            raise BadInput(f"{k} negatives of candidates={self.candidates}", f"{k} at least", "raise candidates")
        if self.rescore and type(strategy).pick is not Strategy.pick:
            raise BadInput(
                f"rescore={self.rescore} with {type(strategy).__name__}, which looks at all bags at once",
                "a strategy that scores each bag", "use candidates instead",
            )  # fmt: skip

    def narrowed(self, round: Round, strategy: Strategy, begun: bool) -> Round:
        """The round with its lot; `begun` says whether there are kept scores to add to."""
        if strategy.need == Need.NOTHING or round.pool_version is None:
            return round
        pool, turn = round.pool_version.bags, round.epoch // self.every
        if self.candidates:
            return dataclasses.replace(round, lot=BlockSubset(min(self.candidates, pool), round.seed, turn))
        if self.rescore:
            bags = min(self.rescore, pool) if begun else pool
            return dataclasses.replace(round, lot=BlockSubset(bags, round.seed, turn), k=pool, at_most=True)
        return round
