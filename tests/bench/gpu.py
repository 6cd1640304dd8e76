"""What a GPU gives: scoring, and D² sampling of points that stay on it; picks compared with those of the CPU.

    python -m tests.bench.gpu

The table goes to gpu.md beside this file.
"""

import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from negsift.common.data.bagset import BagSet
from negsift.common.data.instances import Instances
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.kmeanspp.torch_backend import TorchBackend
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.toys import stack_bags

BAGS, INSTANCES, BLOCK, K, TIMES = 20_000, 5, 512, 1_000, 5
POINTS = ((1_000_000, 84), (200_000, 512))
WAYS = {
    "float32": ScoringConfig(),
    "bfloat16": ScoringConfig(precision="bfloat16"),
    "channels last, pinned": ScoringConfig(channels_last=True, pinned=True),
    "bfloat16, channels last, compiled": ScoringConfig(precision="bfloat16", channels_last=True, compile=True),
    "frozen backbone": ScoringConfig(frozen=True),
}


def pool() -> BagSet:
    """Bags of five random images of CIFAR-10's size, each image in one bag."""
    random, count = np.random.default_rng(0), BAGS * INSTANCES
    images = Instances(
        np.zeros(count, np.int64), ("no", "yes"), in_memory=random.integers(0, 256, (count, 3, 32, 32), np.uint8)
    )
    rows = np.arange(count, dtype=np.int64).reshape(BAGS, INSTANCES)
    return stack_bags(images, list(rows), np.zeros(BAGS, np.int64), "random")


def seconds(work: Callable[[], object]) -> float:
    """The median of several runs after one that warms up, the GPU waited for."""
    times = []
    for _ in range(TIMES + 1):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def score(bags: BagSet, name: str, config: ScoringConfig) -> str:
    """One row: bags scored a second by SimpleCNN and by ResNet18, entropy's 1,000 best of the pool."""
    cells = []
    for model_name in ("simple_cnn", "resnet18"):
        model: BagClassifier = make_model(ModelConfig(model_name), (3, 32, 32), 0)
        weights = [{key: value * (1.0 + 1e-3 * step) for key, value in model.state_dict().items()} for step in range(2)]
        if config.frozen:
            head = {key: value for key, value in weights[1].items() if key.startswith("head.")}
            weights[1] = weights[0] | head
        options = FleetConfig(
            kind="local", shards=1, block=BLOCK, cache_mb=0 if not config.frozen else 4096, scoring=config
        )
        with NegativeSampler(bags, model, strategy="entropy", k=K, options=options) as sampler:
            turn = iter(range(1 << 30))
            spent = seconds(lambda: sampler.select(weights[next(turn) % 2], 0))  # noqa: B023  # called in this turn
        cells.append(f"{len(bags) / spent:,.0f}")
    return f"| {name} | {' | '.join(cells)} |"


def seed(count: int, columns: int) -> str:
    """One row: D² sampling of 1,000 points in torch on the GPU, in numpy and in numba on this machine's CPU."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(count, columns)) * random.lognormal(0.0, 1.0, (count, 1))
    points = Points(np.arange(count, dtype=np.int64), (np.rint(rows * 1000).astype(np.float32),))
    on_gpu, spec = TorchBackend(points, torch.device("cuda")), SeedingSpec(K, 0, 0)

    def by_gpu() -> np.ndarray:
        on_gpu.reset()
        return d2_sample(LocalPool(ShardRows(points, lambda _: on_gpu)), spec).index

    def by_cpu() -> np.ndarray:
        return d2_sample(LocalPool(ShardRows(points)), spec).index

    same = np.array_equal(by_gpu(), by_cpu())
    return f"| {count:,} x {columns} | {seconds(by_gpu):.3f} | {seconds(by_cpu):.3f} | {'yes' if same else 'NO'} |"


def main() -> None:
    """Measure, print, and write the page."""
    bags, device = pool(), torch.cuda.get_device_name()
    lines = [
        "# On a GPU",
        "",
        f"{datetime.date.today()}, {device}, torch {torch.__version__}; `python -m tests.bench.gpu`; medians of {TIMES}.",
        "",
        f"Bags scored a second, {BAGS:,} bags of {INSTANCES} images, one shard, blocks of {BLOCK}, the {K:,} of most entropy;",
        "weights change between rounds, with a frozen backbone only the head's.",
        "",
        "| scoring | SimpleCNN | ResNet18 |",
        "|---|---|---|",
        *(score(bags, name, config) for name, config in WAYS.items()),
        "",
        f"Seconds of wall time for exact D² sampling of {K:,} points, which stay on the GPU; the CPU uses numba if it is there.",
        "",
        "| points | GPU | CPU | same picks |",
        "|---|---|---|---|",
        *(seed(*shape) for shape in POINTS),
    ]
    page = "\n".join(lines) + "\n"
    sys.stdout.write(page)
    Path(__file__).with_suffix(".md").write_text(page)


if __name__ == "__main__":
    main()
