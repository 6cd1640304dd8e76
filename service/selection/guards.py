"""Guards that go by a round's ranks: which of the best bags are left out, and which k of the rest are chosen.

A round asks for as many ranks as they may need, from any number of shards or from the scores a sampler keeps, and the
sampler chooses among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.data.protocols import BagDataset, HasSources
from negsift.common.errors import BadInput
from negsift.common.guards import Guards
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Round, Selection
from negsift.service.selection.enough import too_few_left

_NONE = np.zeros(0, dtype=np.int64)
_AT_ONCE = 1 << 16
_SOURCES = "a bag table with group_id, or a dataset with source_id(index)", "build the table with group_column="


@dataclass(frozen=True)
class RankGuards:
    """The guards of one round; `source` (pool,) numbers the source of every bag, where `per_source` needs it."""

    guards: Guards = field(default_factory=Guards)
    source: Index = field(default_factory=lambda: _NONE)

    def needed(self, round: Round, longest: int) -> int:
        """The ranks that suffice for k bags after selections of at most `longest` bags; 0 without a guard."""
        guards, bags = self.guards, round.pool.bags
        if not guards.active:
            return 0
        if guards.per_source:  # any number of bags may be of one source
            return bags
        return min(bags, round.k * guards.window + int(guards.skip * bags) + guards.rest * max(round.k, longest))

    def require_room(self, k: int, bags: int) -> None:
        """Raise BadInput if the guards are sure to leave fewer than k of so many bags in some round."""
        guards, counts = self.guards, np.unique(self.source, return_counts=True)[1]
        rooms = [bags - int(guards.skip * bags), bags - guards.rest * k]
        if guards.per_source:
            rooms.append(int(np.minimum(counts, guards.per_source).sum()))
        if min(rooms) < k:
            raise too_few_left(guards, max(0, min(rooms)), bags, k)

    def choose(self, ranked: Selection, round: Round, recent: Sequence[Index]) -> Selection:
        """k of the ranked bags, best first, and in the account how many each guard removed; the bags of the `recent`
        selections rest. Raises BadInput if fewer are left.

        Bags that `rest` and `per_source` pass over count where they rank above the last bag that could be chosen.
        """
        guards, account = self.guards, ranked.account
        if not guards.active:
            return ranked
        bags = len(ranked.index)
        skipped = np.arange(bags) < int(guards.skip * account.considered)
        rests = recent[-guards.rest :] if guards.rest else ()  # a state may have more than this task wants
        resting = ~skipped & np.isin(ranked.index, np.concatenate([_NONE, *rests]))
        over = self._over_quota(ranked.index, skipped | resting)
        left = np.flatnonzero(~(skipped | resting | over))
        if len(left) < round.k:
            raise too_few_left(guards, len(left), account.considered, round.k)
        window = left[: round.k * guards.window]
        last = int(window[-1]) if len(window) else 0
        removed = {
            "skip": int(skipped.sum()), "rest": int(resting[:last].sum()), "per_source": int(over[:last].sum()),
            "window": len(window) - round.k,
        }  # fmt: skip
        rows = _drawn(ranked.index, window, round)
        guarded = dict(account.guarded) | {name: removed[name] for name in guards.active}
        return replace(
            ranked, index=ranked.index[rows], score=ranked.score[rows], weight=ranked.weight[rows],
            account=replace(account, guarded=guarded),
        )  # fmt: skip

    def _over_quota(self, index: Index, removed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether as many bags of the same source rank above each one, of those not removed, as there may be."""
        over = np.zeros(len(index), dtype=np.bool_)
        if self.guards.per_source:
            rows = np.flatnonzero(~removed)
            source = self.source[index[rows]]
            order = np.argsort(source, kind="stable")  # so by source, and by rank within each
            first = np.searchsorted(source[order], source[order])
            over[rows[order]] = np.arange(len(order)) - first >= self.guards.per_source
        return over


def _drawn(index: Index, window: Index, round: Round) -> Index:
    """k rows of the window, in their order: those whose bags have the largest hashed numbers."""
    if len(window) == round.k:
        return window
    keys = uniform_keys(stream_key(round.seed, "window", round.epoch), index[window])
    return np.sort(window[np.lexsort((index[window], -keys))[: round.k]])


def source_numbers(pool: BagDataset) -> Index:
    """A number for the source of every bag, (n,), which bags of one source share; one without a source is its own.

    Raises BadInput for a pool that names no source.
    """
    if not isinstance(pool, HasSources):
        raise BadInput("guard.per_source with a pool that names no sources", *_SOURCES)
    known = dict[str, int]()
    numbers = -1 - np.arange(len(pool), dtype=np.int64)
    for start in range(0, len(pool), _AT_ONCE):
        index = np.arange(start, min(start + _AT_ONCE, len(pool)), dtype=np.int64)
        for place, name in zip(index, pool.source_id(index), strict=True):
            if name is not None:
                numbers[place] = known.setdefault(name, len(known))
    if len(pool) and not known:
        raise BadInput("guard.per_source with a pool none of whose bags has a source", *_SOURCES)
    return numbers
