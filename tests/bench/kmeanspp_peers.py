"""Ways to seed k-means++, ours and others', on one thread each; and what CPU time they take.

All take the same rows (n, d) and give the centres' rows. Axes: n points, d columns.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import faiss
import numpy as np
import torch

from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.numba_policy import numba_installed
from negsift.service.kmeanspp.point_backend import BackendFactory
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points, Steps
from negsift.service.kmeanspp.seeding import Seeding, SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from tests.bench.kmeanspp_badge import factored, published
from tests.unit import seeding_oracles

OURS_TIMES, PEERS_TIMES = 5, 3
LEAST_CENTRES, _BUDGET_S, _LONGEST_S = 6, 1.0, 20.0
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Job:
    """The first `count` of `wanted` centres of `rows`, (n, d)."""

    rows: Steps
    wanted: int
    count: int
    seed: int = 0


@dataclass(frozen=True)
class Method:
    """One way; `passes` says that each centre after the first costs the same, a pass over all points."""

    name: str
    find: Callable[[Job], Steps]
    passes: bool = False
    ours: bool = False

    def planned(self, job: Job) -> int | None:
        """The centres to run of a job: all, or as many as take a second; None if that took over 20 s."""
        if self.ours:
            return job.wanted
        if self.passes:
            least_s = self._spent(replace(job, count=LEAST_CENTRES))
            often = int(_BUDGET_S * LEAST_CENTRES / least_s)
            return min(job.wanted, max(LEAST_CENTRES, often)) if least_s <= _LONGEST_S else None
        fifth = self._spent(replace(job, count=max(1, job.wanted // 5)))
        return job.wanted if 25 * fifth <= _LONGEST_S else None

    def seconds(self, job: Job) -> float:
        """CPU seconds of the job's `wanted` centres; what the first takes is counted once, the rest scaled."""
        spent = self._spent(job)
        if job.count == job.wanted:
            return spent
        first = self._spent(replace(job, count=1))
        return first + (spent - first) * (job.wanted - 1) / (job.count - 1)

    def _spent(self, job: Job) -> float:
        start = time.process_time()
        self.find(job)
        return time.process_time() - start


def measure(rows: Steps, wanted: int) -> Json:
    """CPU seconds of every way, in turns; `run` centres were timed, None: too slow; and what messages ours took."""
    ways, job = seedings(), Job(rows, wanted, wanted)
    traffic = [asdict(seed(backend, job).traffic) for backend in backends().values()]  # compiles, too
    run = {name: way.planned(job) for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name, count in run.items() if count}
    for turn in range(OURS_TIMES):
        for name in seconds:
            if ways[name].ours or turn < PEERS_TIMES:
                seconds[name].append(ways[name].seconds(replace(job, count=run[name] or wanted, seed=turn)))
    medians = {name: median(times) for name, times in seconds.items()}
    return {"run": run, "seconds": seconds, "median": medians, "traffic": traffic[-1]}


def check(name: str, rows: Steps, wanted: int) -> Json:
    """A full run beside what is scaled from a part, medians."""
    way = seedings()[name]
    part, times = way.planned(Job(rows, wanted, wanted)) or wanted, {}
    for count in (part, wanted):
        times[count] = median(way.seconds(Job(rows, wanted, count, seed)) for seed in range(PEERS_TIMES))
    return {"name": name, "run": part, "scaled": times[part], "full": times[wanted]}


def seedings() -> dict[str, Method]:
    """Ours with every backend there is, then the peers, by name."""
    ours = [Method(f"ours, {name}", partial(by_ours, backend), ours=True) for name, backend in backends().items()]
    peers = [
        Method("FAISS k-means++", partial(by_faiss, faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS), passes=True),
        Method("FAISS AFK-MC²", partial(by_faiss, faiss.ClusteringInitMethod_AFK_MC2)),
        Method("scikit-learn", partial(by_sklearn, None), passes=True),
        Method("scikit-learn, 1 trial", partial(by_sklearn, 1), passes=True),
        Method("torch", by_torch, passes=True),
        Method("BADGE", partial(by_badge, partial(factored, add_up=np.sum)), passes=True),
        Method("BADGE, Python's sum", partial(by_badge, partial(factored, add_up=sum)), passes=True),
        Method("BADGE, published", partial(by_badge, published), passes=True),
    ]
    return {seeding.name: seeding for seeding in (*ours, *peers)}


def backends() -> dict[str, BackendFactory]:
    """Ours on a CPU: numpy's, and numba's where it is installed."""
    names = {"numpy": False, "numba": True} if numba_installed() else {"numpy": False}
    return {name: partial(CpuBackend, compiled=compiled) for name, compiled in names.items()}


def one_thread() -> None:
    """For what doesn't read OMP_NUM_THREADS."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def seed(backend: BackendFactory, job: Job) -> Seeding:
    """Ours, in full."""
    points = Points(np.arange(len(job.rows), dtype=np.int64), (job.rows,))
    return d2_sample(LocalPool(ShardRows(points, backend)), SeedingSpec(job.count, job.seed, 0))


def by_ours(backend: BackendFactory, job: Job) -> Steps:
    """Ours."""
    return job.rows[seed(backend, job).index]


def by_faiss(method: int, job: Job) -> Steps:
    """FAISS's initialisation of its k-means; AFK-MC² with its chain of 50."""
    columns = job.rows.shape[1]
    start = faiss.ClusteringInitialization(columns, job.count)  # type: ignore[attr-defined]  # made by SWIG
    start.method, start.seed = method, job.seed
    centres = np.empty((job.count, columns), dtype=np.float32)
    start.init_centroids(len(job.rows), faiss.swig_ptr(job.rows), faiss.swig_ptr(centres))
    return centres


def by_sklearn(trials: int | None, job: Job) -> Steps:
    """scikit-learn's, the best of several candidates a centre; by default as many as for all the wanted ones."""
    trials = 2 + int(np.log(job.wanted)) if trials is None else trials
    return job.rows[seeding_oracles.by_sklearn(job.rows, job.count, job.seed, trials)]


def by_torch(job: Job) -> Steps:
    """A product of the pool and the last centre, a minimum, a draw by torch.multinomial."""
    rows, random = torch.from_numpy(job.rows), torch.Generator().manual_seed(job.seed)
    squares = torch.einsum("nd,nd->n", rows, rows)
    chosen, nearest = [int(squares.argmax())], torch.full((len(rows),), torch.inf)
    for _ in range(1, job.count):
        last = chosen[-1]
        gaps = (squares + squares[last] - 2.0 * (rows @ rows[last])).clamp_(min=0.0)
        gaps[last] = 0.0
        nearest = torch.minimum(nearest, gaps)
        chosen.append(int(torch.multinomial(nearest, 1, generator=random)))
    return job.rows[chosen]


def by_badge(draw: Callable[[Steps, int, int], list[int]], job: Job) -> Steps:
    """BADGE's own, in one of its forms."""
    return job.rows[draw(job.rows, job.count, job.seed)]
