"""What a seeding is asked for and what it gives; its first centre, and what fills it up."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from negsift.common.account import Traffic
from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.service.kmeanspp.centres import Centres
from negsift.service.kmeanspp.messages import PointsSummary
from negsift.service.kmeanspp.point_pool import CountedPool, PointPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.queries import SampleByHash, SmallestHashes, Summarize
from negsift.service.kmeanspp.sketch import Directions, find_directions, pruning_basis

_SAMPLE = 128  # points from which directions are found; with 64, a tenth more of the points' length is outside them


@dataclass(frozen=True)
class SeedingSpec:
    """`count` centres by the random numbers of (seed, epoch).

    The first centre is the longest point or, if `random_first`, any point with equal chances.
    """

    count: int
    seed: int
    epoch: int
    random_first: bool = False


@dataclass(frozen=True)
class Seeding:
    """Positions in the order chosen, (k,), and their squared distances to those before them, in squared steps.

    The first score is the point's squared norm. The last `filled` positions were taken when all points left
    lay on a centre; `centres` are the points of the positions before them.
    """

    index: Index
    score: Floats
    filled: int
    traffic: Traffic = field(default_factory=Traffic)
    centres: Points | None = None


EMPTY = Seeding(np.zeros(0, dtype=np.int64), np.zeros(0), 0)


@dataclass(frozen=True)
class SeedingRun:
    """A seeding under way: the pool of `points` points, the centres so far, and directions to sketch points along."""

    spec: SeedingSpec
    pool: CountedPool
    points: int
    centres: Centres
    directions: Directions | None = None
    pruning: Floats | None = None
    """An orthonormal basis (r, c) along which sketches of points of one factor show which are near each other."""

    @classmethod
    def begin(cls, pool: PointPool, spec: SeedingSpec, sketched: bool = False) -> "SeedingRun | None":
        """A run with its first centre, and with directions if `sketched`; None if there is nothing to choose."""
        counted, directions, pruning = CountedPool(pool), None, None
        if sketched and spec.count > 1:
            sample = SampleByHash(stream_key(spec.seed, "badge-sample", spec.epoch), _SAMPLE)
            points = _first_by_hash(counted.ask(sample), sample)
            directions = find_directions(points)
            pruning = pruning_basis(points, directions, spec.count)
        key = stream_key(spec.seed, "badge-first", spec.epoch) if spec.random_first else None
        summaries = [summary for summary in counted.ask(Summarize(key, directions)) if summary.count]
        found = sum(summary.count for summary in summaries)
        count = min(spec.count, found)
        return cls(spec, counted, found, Centres(_first(summaries, key), count), directions, pruning) if count else None

    def finish(self) -> Seeding:
        """The centres, filled up with other points if the draw ended early."""
        filling = self._filling()
        index = np.concatenate([self.centres.index[: self.centres.count], filling])
        centres = self.centres.since(0).as_float32()
        return Seeding(index, self.centres.scores, len(filling), self.pool.traffic, centres)

    def _filling(self) -> Index:
        """Positions for what is missing, in the order of a hash of (seed, epoch, position)."""
        if not self.centres.missing:
            return np.zeros(0, dtype=np.int64)
        key = stream_key(self.spec.seed, "badge-fill", self.spec.epoch)
        index = np.concatenate(self.pool.ask(SmallestHashes(key, self.centres.capacity)))
        free = np.setdiff1d(index, self.centres.index[: self.centres.count])
        return free[np.lexsort((free, uniform_keys(key, free)))][: self.centres.missing]


def _first_by_hash(parts: Sequence[Points], sample: SampleByHash) -> Points:
    """The sample of all shards' points from the samples of each."""
    points = Points.merge(parts)
    return points.take(np.lexsort((points.index, uniform_keys(sample.key, points.index)))[: sample.count])


def _first(summaries: Sequence[PointsSummary], key: int | None) -> Points:
    """The best of the shards' candidates: the longest, or that of the smallest hash; ties by index."""
    candidates = Points.merge([summary.candidate for summary in summaries])
    order = -candidates.squares if key is None else uniform_keys(key, candidates.index)
    return candidates.take(np.lexsort((candidates.index, order))[:1])
