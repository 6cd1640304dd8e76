"""The pools that the k-means++ benchmark seeds, CIFAR-10 bags' gradient embeddings and made-up ones; and
what it finds on them besides times: memory and potentials.

All are float32 in whole steps of the grid, so that ours and every peer read the same numbers. A
smaller pool is the beginning of a larger one. Axes: n points, d columns, m centres.
"""

import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from negsift.common.arrays import Index
from negsift.common.data.bags import plan_bags
from negsift.common.data.bagset import BagSet
from negsift.common.data.cifar10 import load
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.rng import generator
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.kmeanspp.points import Steps, grid_exponent, snap
from tests.bench.kmeanspp_peers import LEAST_CENTRES, Job, one_thread, seedings

KINDS = {
    "real": "negative bags of five CIFAR-10 images drawn at random, gradients of a SimpleCNN trained for 300 steps",
    "synth": "made up: rectified features near 12 dimensions with noise, times residuals from Beta(0.5, 3)",
}
REAL_COLUMNS = 84
_BAG, _BATCH, _TRAINING_STEPS = 5, 32, 300
_BLOCK, _RANK, _CELLS = 50_000, 12, 1 << 22


@dataclass(frozen=True)
class Source:
    """Where pools come from: CIFAR-10 below `root`; with None, all pools are made up. `largest` n will be asked for."""

    root: str | None
    cache: Path
    largest: int

    def kind(self, columns: int) -> str:
        """`real` for CIFAR-10 bags, which have 84 columns, else `synth`."""
        return "real" if self.root is not None and columns == REAL_COLUMNS else "synth"

    def pool(self, count: int, columns: int) -> Steps:
        """The first `count` points, (count, columns)."""
        if self.kind(columns) == "synth":
            return snapped(made_up(count, columns))
        return snapped(np.array(np.load(self._made(), mmap_mode="r")[:count]))

    def _made(self) -> Path:
        path = self.cache / f"real-{self.largest}.npy"
        if not path.exists():
            np.save(path.with_suffix(".part.npy"), gradients(str(self.root), self.largest))
            path.with_suffix(".part.npy").rename(path)
        return path


def snapped(rows: Steps) -> Steps:
    """`rows` in whole steps, in place."""
    return snap(rows, grid_exponent(max(float(rows.max()), -float(rows.min())), rows.shape[1]))


def made_up(count: int, columns: int) -> Steps:
    """Rectified features near a subspace of 12 dimensions, each times a residual from Beta(0.5, 3)."""
    basis = generator(0, "bench-basis").standard_normal((_RANK, columns), dtype=np.float32)
    found = np.empty((count, columns), dtype=np.float32)
    for block, start in enumerate(range(0, count, _BLOCK)):
        part, noise, low, residual = (
            found[start : start + _BLOCK],
            *(generator(0, f"bench-{role}", block) for role in ("noise", "low", "residual")),
        )
        noise.standard_normal(out=part, dtype=np.float32)
        part *= np.float32(0.5)
        part += low.standard_normal((len(part), _RANK), dtype=np.float32) @ basis
        np.maximum(part, 0.0, out=part)
        part *= residual.beta(0.5, 3.0, (len(part), 1)).astype(np.float32)
    return found


def gradients(root: str, count: int) -> Steps:
    """Gradient embeddings √2·s·q·h of `count` random bags of five images not of class 0, (count, 84)."""
    train, _ = load(DataConfig(name="cifar10", root=root))
    model = trained(train)
    negative = np.flatnonzero(train.labels != 0)
    found = np.empty((count, REAL_COLUMNS), dtype=np.float32)
    with torch.inference_mode():
        features = torch.cat([model.encoder(torch.from_numpy(train.images[some])) for some in _runs(len(train))])
        for block, start in enumerate(range(0, count, _BLOCK)):
            part = found[start : start + _BLOCK]
            rows = negative[generator(0, "bench-bags", block).integers(len(negative), size=(len(part), _BAG))]
            part[:] = _embed(model, features[torch.from_numpy(rows.ravel())])
    return found


def trained(train: Instances) -> BagClassifier:
    """A SimpleCNN after 300 steps of Adam on as many positive as negative bags of class 0."""
    plan = plan_bags(train.labels == 0, _BAG, "uniform", seed=0)
    number = np.arange(len(plan.label), dtype=np.int64)
    bags = BagSet(train, plan.rows, plan.offsets, plan.label, "train-class0", number)
    model, random = make_model(ModelConfig(), (3, 32, 32), seed=0), generator(0, "bench-training")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(_TRAINING_STEPS):
        index = np.concatenate([random.choice(np.flatnonzero(plan.label == kind), _BATCH) for kind in (0, 1)])
        loss = cross_entropy(model(bags.gather(index)), torch.from_numpy(plan.label[index]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
    return model.eval()


def potential(rows: Steps, centres: Steps) -> float:
    """The sum over rows of the squared distance to the nearest centre, in squared steps; products in float32."""
    step, total = max(1, _CELLS // len(centres)), 0.0
    reach = np.einsum("md,md->m", centres, centres)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        nearest = np.einsum("nd,nd->n", part, part) + (reach - 2.0 * (part @ centres.T)).min(1)
        total += float(np.maximum(nearest, 0.0).sum(dtype=np.float64))
    return total


def potentials(rows: Steps, wanted: int, seeds: int) -> dict[str, list[float]]:
    """Potentials of every way's centres, and of centres drawn uniformly, over the mean of BADGE's; one a seed."""
    found = {
        name: [potential(rows, way.find(Job(rows, wanted, wanted, seed))) for seed in range(seeds)]
        for name, way in seedings().items()
    }
    draws = [generator(0, "bench-uniform", seed).choice(len(rows), wanted, replace=False) for seed in range(seeds)]
    found["uniform"] = [potential(rows, rows[draw]) for draw in draws]
    unit = mean(found["BADGE"])
    return {name: [value / unit for value in values] for name, values in found.items()}


def extra_memory(name: str, source: Source, count: int, wanted: int) -> dict[str, float]:
    """Peak MB beyond the pool's own while `name` seeds the one of 84 columns, in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_extra_memory, name, source, count, wanted).result()


def _extra_memory(name: str, source: Source, count: int, wanted: int) -> dict[str, float]:
    one_thread()
    way, rows = seedings()[name], source.pool(count, REAL_COLUMNS)
    way.find(Job(rows[:1_000].copy(), LEAST_CENTRES, LEAST_CENTRES))
    job = Job(rows, wanted, LEAST_CENTRES if way.passes else wanted)
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak begins anew
    before = _resident("VmRSS")
    way.find(job)
    resident = _resident("VmHWM") - before
    tracemalloc.start()
    way.find(job)
    return {"run": job.count, "resident": resident, "traced": tracemalloc.get_traced_memory()[1] / 1e6}


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) * 1.024e-3


def _embed(model: BagClassifier, features: torch.Tensor) -> Steps:
    count = len(features) // _BAG
    tensors = model.pool(features, np.full(count, _BAG, dtype=np.int64), EmbeddingSpec(Need.GRADIENT))
    gradient = tensors.embedded(np.arange(count, dtype=np.int64)).gradient
    assert gradient is not None
    return (gradient.left * gradient.right).astype(np.float32)


def _runs(count: int) -> list[Index]:
    return np.array_split(np.arange(count), max(1, count // 500))
