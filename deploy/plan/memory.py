"""Memory of a scorer, of the coordinator and of a node, by what takes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from negsift.deploy.plan.answers import Answers, best_bytes
from negsift.deploy.plan.workload import Workload
from negsift.service.kmeanspp.cpu_backend import LEAST_BYTES
from negsift.service.kmeanspp.numba_policy import numba_installed

Parts = Mapping[str, float]
_MIB = 1 << 20
SCORER_OWN, COORDINATOR_OWN, PROGRAM_OWN, LIBRARIES, RAY_OWN = (size * _MIB for size in (315, 140, 400, 290, 350))
DRAWING_OWN = 125 * _MIB
"""Bytes without any bags: of a scorer, of the coordinator, of the program that trains; of the libraries that a node's
processes share, counted once; and of Ray's own processes on a node; and of numba's loops, in the process that draws.
Measured: tests/bench/plan.md.
"""
_WEIGHTS = 3  # the model, the snapshot in the object store, and one of them while it is loaded
_POINT_STATE = 16  # bytes of norms, bounds and times of each point
_AROUND = 1 << 16  # bytes that the kernel maps of a file around each one that is read
_COPIES = 3  # of what the coordinator gathers: as it came, end to end, in order


@dataclass(frozen=True)
class Working:
    """Bytes that a scorer's forward pass and a trainer's steps take besides the bags."""

    score: float = 0.0
    train: float = 0.0


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by part: of a scorer, of the coordinator (neither in one process), of the fullest node; of the node those
    in the object store, in the `page_cache` for the pool's files, and in the `point_files` on its disk.
    """

    scorer: Parts
    coordinator: Parts
    node: Parts
    object_store: float
    page_cache: float
    point_files: float


def memory_plan(work: Workload, working: Working) -> MemoryPlan:
    """The memory of a run whose passes take `working` besides the bags."""
    shard, gathered = shard_parts(work), gathered_bytes(work)
    trained = {"training": working.train, "bags to train on": trained_bytes(work)}
    count = work.machines.on_node if work.machines.on_ray else work.machines.scorers
    files, pages = count * point_file_bytes(work), 0.0 if work.form.in_table else whole_bytes(work)
    shared = {} if work.form.in_table else {"pool": pages}  # processes map the same pages of its files
    if not work.machines.on_ray:
        shards = {name: count * size for name, size in shard.items()} | shared
        drawing = {"drawing": drawing_bytes(work, gathered=Answers.of(work).gathered)}
        process = {"program": float(PROGRAM_OWN + LIBRARIES), "forward pass": working.score, **shards, **drawing}
        return MemoryPlan({}, {}, process | {"merging": gathered, **trained}, 0.0, pages, files)
    store = 2.0 * work.sizes.weights + index_bytes(work)
    scorer = {"process": float(SCORER_OWN), "forward pass": working.score, **shard}
    coordinator = {
        "process": float(COORDINATOR_OWN),
        "merging": gathered,
        "drawing": drawing_bytes(work, gathered=True),
    }
    node = {name: count * size for name, size in scorer.items()} | shared
    node |= {"libraries and Ray": float(LIBRARIES + RAY_OWN), "coordinator": sum(coordinator.values())}
    node |= {"object store": store, "program": float(PROGRAM_OWN), **trained}
    return MemoryPlan(scorer | {"process": float(SCORER_OWN + LIBRARIES)}, coordinator, node, store, pages, files)


def shard_parts(work: Workload) -> Parts:
    """What one shard takes of its process."""
    answers = Answers.of(work)
    kept = answers.best or not answers.points  # embeddings that become points are not kept
    points = answers.points_of(work)
    numbers = 0.0 if point_file_bytes(work) else 4 * work.sizes.columns * points
    return {
        "model": float(_WEIGHTS * work.sizes.weights),
        "pool": pool_bytes(work),
        "embeddings": min(work.cache_bytes, work.scored * work.sizes.embedded) if kept else 0.0,
        "points": numbers + (8 + _POINT_STATE) * points,
        "drawing": drawing_bytes(work, gathered=False),
    }


def pool_bytes(work: Workload) -> float:
    """What the bags of a shard take: those of a table as far as `fleet.pool_mb` lets them; of others the pages of the
    pool's files in which they lie, shuffled.
    """
    form, budget = work.form, work.fleet.budget.memory_bytes
    if not form.in_table:
        whole, neighbours = whole_bytes(work), max(1.0, _AROUND * form.instances / form.decoded_bytes)
        missed: float = (1 - work.share * form.decoded_bytes / whole) ** neighbours
        return whole * (1 - missed)
    return min(float(budget), form.group_bytes + work.share * (form.decoded_bytes + 8) / form.used)


def whole_bytes(work: Workload) -> float:
    """The pool with the positives and the bags to validate on, which lie in the same files."""
    return (work.rounds.bags + work.rounds.positives) * (1 + work.form.validated) * work.form.decoded_bytes


def trained_bytes(work: Workload) -> float:
    """The bags of an epoch, which the trainer holds; bags that are no table's are in the pool's files."""
    return (work.rounds.positives + work.rounds.picks) * work.form.tensor_bytes


def index_bytes(work: Workload) -> float:
    """Which bags there are, as every node keeps it: a bit for each of a table, 8 bytes for each instance of others and
    24 for each bag.
    """
    form, bags = work.form, work.rounds.bags
    return bags / form.used / 8 if form.in_table else bags * (8 * form.instances + 24)


def gathered_bytes(work: Workload) -> float:
    """What the coordinator takes for what it gathers."""
    answers, sizes = Answers.of(work), work.sizes
    points = answers.points * (_COPIES * sizes.point + _POINT_STATE) if answers.gathered else 0.0
    return _COPIES * best_bytes(answers.best, work) + points + work.rounds.also * sizes.embedded


def drawing_bytes(work: Workload, gathered: bool) -> float:
    """What the compiled loops of D² sampling take of a process: the coordinator's, or a scorer's that keeps points."""
    answers = Answers.of(work)
    points = answers.points if gathered else answers.points_of(work)
    compiled = points * work.sizes.point >= LEAST_BYTES and numba_installed()
    return float(DRAWING_OWN) if compiled and (gathered or not answers.gathered) else 0.0


def point_file_bytes(work: Workload) -> float:
    """What a shard's points take on disk, where they are more than it may keep; else 0."""
    size = 4 * work.sizes.columns * Answers.of(work).points_of(work)
    return size if size > work.cache_bytes else 0.0
