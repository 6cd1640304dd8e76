"""Rates measured on this machine: rounds over a sample, by the code that runs those of a run; and training."""

import itertools
import os
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

import numpy as np
import torch
from torch import Tensor

from negsift.common.data.bagset import BagBatch
from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.memory_use import least_budget, whole_table_bytes
from negsift.common.models.bag import BagClassifier
from negsift.common.models.copying import independent_copy
from negsift.common.threads import block_workers
from negsift.common.types import Need, PoolVersion, Snapshot
from negsift.common.weights import take_snapshot
from negsift.deploy.plan.answers import Streaming
from negsift.deploy.plan.memory import Working
from negsift.deploy.plan.process import Peak, own_cache
from negsift.deploy.plan.sample import Model, Sample
from negsift.deploy.plan.workload import Machines, Rounds, Sizes
from negsift.deploy.run_config import RunConfig
from negsift.service.fleet.local import LocalFleet
from negsift.service.fleet.local_shards import AskedShards
from negsift.service.points.bag_points import PointsSpec
from negsift.service.pool.bag_source import BagSource
from negsift.service.scoring.device_pipeline import READERS
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.coordinator import select
from negsift.service.selection.task import Task
from negsift.service.strategies import make_strategy
from negsift.trainer.learner import Learner
from negsift.trainer.loader import TrainingBatch

_PROBE, _ROUND_S, _ENOUGH_S = 2, 0.3, 1.2
_MOST_DISK = 1 << 40
SAMPLE_BYTES = 32 << 20
"""The decoded bags of a sample that is measured."""


@dataclass(frozen=True)
class Speed:
    """Bags a second, and bags a second of processor time."""

    rate: float
    per_processor: float


@dataclass(frozen=True)
class Measured:
    """The speeds of this machine, with `threads` threads or its GPU: bags in memory, on disk decoded, and in a table.

    A scorer has `share` of the rates. `train` is the rate of training. `working` is the memory besides the bags, and
    `block` the bags of a block, fewer than the recipe's where the model is slow.
    """

    speeds: tuple[Speed, Speed, Speed]
    train: float
    working: Working
    block: int
    threads: int
    share: float


class Bench:
    """Rounds over samples with as many threads as a node's scorers have and this machine has cores, or on its GPU."""

    def __init__(self, sample: Sample, config: RunConfig, rounds: Rounds, machines: Machines) -> None:
        self._sample, self._config, self._rounds, self._machines = sample, config, rounds, machines
        self._on_gpu = machines.gpu_share > 0 and torch.cuda.is_available()
        self._device = torch.device("cuda" if self._on_gpu else "cpu")
        wanted = machines.threads * (machines.on_node if machines.on_ray else 1)
        self._threads = 1 if self._on_gpu else min(len(os.sched_getaffinity(0)), wanted)
        self._strategy, self._workers = (
            make_strategy(config.strategy),
            block_workers(READERS if self._on_gpu else self._threads),
        )
        self._snapshots, self._turn = [_snapshot(sample.model, step) for step in range(2)], itertools.count()
        self._peak = Peak()
        self._block, self._most = config.fleet.block_size, max(1, int(SAMPLE_BYTES / sample.form.decoded_bytes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.shutdown()

    def measure(self, held: Streaming) -> Measured:
        """The rates of training, and of bags where `held` says that a shard has some. Where blocks of the recipe's size
        would take too long, smaller ones are used.
        """
        each = self._bag_seconds()
        fits = max(_PROBE, int(_ENOUGH_S / each))
        self._block = 1 << (fits.bit_length() - 1) if fits < self._block else self._block
        count = int(min(self._most, max(_ROUND_S * self._threads / each, self._block * self._threads)))
        bags = self._sample.bags(-(-count // self._block) * self._block)
        memory, kept = self._run(bags, self._block)
        score = self._peak.beyond(kept + self._sample.form.decoded_bytes * len(bags))
        disk = self._streamed(on_disk=True) if held.on_disk else memory
        store = self._streamed(on_disk=False) if held.in_store else memory
        peak = Peak()
        train = self._train_rate()
        share = self._machines.gpu_share if self._on_gpu else self._machines.threads / self._threads
        own = score * (min(1.0, share) if self._machines.on_ray else 1.0)
        threads = 0 if self._on_gpu else self._threads
        working = Working(own, peak.beyond(0.0))
        return Measured((memory, disk, store), train, working, self._block, threads, share)

    def _streamed(self, on_disk: bool) -> Speed:
        """The speed with bags of a table that come from its files; or from this machine's disk, once decoded."""
        bags = self._sample.bags(self._most)
        assert isinstance(bags, TableBags)
        with own_cache():
            return self._run(bags, self._block, least_budget(bags.row_index, _MOST_DISK if on_disk else 0))[0]

    def sizes(self) -> Sizes:
        """What one bag takes as an embedding and as a point, and the weights."""
        shard = self._shard(self._sample.bags(2), 2, self._budget(self._sample.bags(2)))
        task, snapshot = self._task(2, 1), self._snapshots[0]
        spec = self._strategy.embedding_spec(task.round(0, PoolVersion(0, 2), None, scores_kept=False))
        embedded = shard.embedding_bytes(snapshot, spec, None) if spec.need > Need.NOTHING else 0
        weights = sum(array.nbytes for array in snapshot.weights.values())
        if spec.need < Need.FEATURES:
            return Sizes(embedded, 0, 0, weights)
        points = PointsSpec(spec, of="gradient" if spec.need == Need.GRADIENT else "features")
        grid = points.grid([shard.points(snapshot, points).measured])
        return Sizes(embedded, grid.point_bytes, sum(grid.columns), weights)

    def _train_rate(self) -> float:
        """Bags a second of the trainer, without augmentation, on this machine's cores or GPU; in smaller batches than
        the recipe's where the model is slow.
        """
        learner = Learner(independent_copy(self._sample.model), self._config.training, self._config.seed)
        probe = self._trained(learner, _PROBE, _PROBE)
        if probe * _ENOUGH_S < 2 * _PROBE:
            return probe
        probe = self._trained(learner, _PROBE, _PROBE)
        size = max(_PROBE, int(min(self._config.training.batch, self._most, probe * _ROUND_S)))
        rate = self._trained(learner, size, max(size, int(probe * _ENOUGH_S)))
        learner.model.eval()
        with torch.inference_mode():  # for the memory that validation takes
            learner.model(self._inputs(min(self._config.training.evaluation_batch, self._most)).to(learner.device))
        return rate

    def _trained(self, learner: Learner, size: int, bags: int) -> float:
        """Bags a second of the second of two passes over so many, or a few more, in batches of `size`; where the first
        batch takes long, of that.
        """
        label = torch.from_numpy(np.arange(size, dtype=np.int64) % 2)
        batch = TrainingBatch(self._inputs(size), label, torch.ones(size))
        start = time.perf_counter()
        learner.train([batch], 0)
        if time.perf_counter() - start > _ENOUGH_S:
            return size / (time.perf_counter() - start)
        batches, start = [batch] * -(-bags // size), time.perf_counter()
        learner.train(batches, 0)
        return len(batches) * size / (time.perf_counter() - start)

    def _inputs(self, size: int) -> BagBatch | Tensor:
        """A batch of bags; those of a table that has fewer come again."""
        bags = self._sample.bags(size)
        inputs = self._source(bags).batch(np.arange(size, dtype=np.int64) % len(bags))
        assert isinstance(inputs, BagBatch | Tensor)  # as all datasets of `train` give
        return inputs

    def _bag_seconds(self) -> float:
        """The processor's seconds of a bag in small blocks, whatever else it does: how many bags to measure."""
        bags = self._sample.bags(_PROBE * self._threads)
        shard = self._shard(bags, _PROBE, self._budget(bags))
        self._round(shard, len(bags))
        return 1 / self._round(shard, len(bags)).per_processor

    def _run(self, bags: BagDataset, block: int, budget: DecodingBudget | None = None) -> tuple[Speed, float]:
        """The median speed of the rounds begun in some seconds, one at least, after one that is not counted, unless it
        takes so long alone; and the bytes of kept embeddings.
        """
        shard, start = self._shard(bags, block, budget or self._budget(bags)), time.perf_counter()
        first = self._round(shard, len(bags))
        speeds = [first] if time.perf_counter() - start > _ENOUGH_S else []
        start = start if speeds else time.perf_counter()
        while not speeds or time.perf_counter() - start < _ENOUGH_S:
            speeds.append(self._round(shard, len(bags)))
        middle = Speed(median(each.rate for each in speeds), median(each.per_processor for each in speeds))
        return middle, float(shard.budget.used_bytes)

    def _round(self, shard: Shard, bags: int) -> Speed:
        """The speed of one round."""
        task, snapshot = self._task(bags, max(1, round(bags * self._rounds.picks / self._rounds.bags))), self._next()
        round_, before = task.round(0, PoolVersion(0, bags), None, scores_kept=False), shard.embedded
        limits, shared = self._config.fleet.gather_limits, False
        start, begun = time.perf_counter(), time.process_time()
        account = select(
            LocalFleet(AskedShards([shard]), snapshot), task, round_, limits, shares_instances=shared
        ).account
        seconds = account.seconds.get("score") or time.perf_counter() - start
        done = (shard.embedded - before) or bags
        return Speed(done / seconds, done / max(1e-9, time.process_time() - begun))

    def _task(self, bags: int, picks: int) -> Task:
        return Task(self._strategy, min(picks, max(1, bags // 2)), self._config.seed)

    def _next(self) -> Snapshot:
        """Other weights each time, so that nothing is kept from the last round."""
        return self._snapshots[next(self._turn) % 2]

    def _shard(self, bags: BagDataset, block: int, budget: DecodingBudget) -> Shard:
        model, scoring = self._sample.model, replace(self._config.fleet.scoring, compile=False, frozen=False)
        source, few = self._source(bags), self._source([bags[0]] * 2)
        spec = ShardSpec(source, few, model, 1, block, self._config.fleet.cache_mb << 20, budget, scoring=scoring)
        own, kept = independent_copy(model).to(self._device), spec.device_budget(self._device)
        return spec.shard(0, own, self._workers, kept)

    def _source(self, bags: BagDataset) -> BagSource:
        return BagSource(bags, ragged=isinstance(self._sample.model, BagClassifier))

    def _budget(self, bags: BagDataset) -> DecodingBudget:
        whole = whole_table_bytes(bags.row_index) if isinstance(bags, TableBags) else 0
        return DecodingBudget(whole, 0)


def _snapshot(model: Model, step: int) -> Snapshot:
    """The model's weights, a little larger with each step."""
    weights = {
        name: value * (1.0 + 1e-3 * step) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    return take_snapshot(weights, step)
