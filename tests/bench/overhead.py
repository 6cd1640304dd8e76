"""One epoch of CIFAR selection through two Ray scorers against the same forward passes in a bare torch loop.

    python -m tests.bench.overhead --root FOLDER [--repeats 7]

8,334 negative bags (41,670 images), SimpleCNN, entropy. Both ways alternate in one process on the same
two cores; weights differ every time, so nothing is cached. The bare loop runs the model as given, in
eval and inference mode, over pixels already in memory, on all cores. Results go to tests/bench/overhead.md.
"""

import argparse
import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from negsift.common.data.bags import plan_bags
from negsift.common.data.bagset import BagSet
from negsift.common.data.cifar10 import load
from negsift.common.data.config import DataConfig
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.deploy.versions import versions
from negsift.service import NegativeSampler

K, BLOCK = 1666, 64


def main() -> None:
    """Time both ways, alternating, and write the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    pool = negative_bags(given.root)
    models = [make_model(ModelConfig(), (3, 32, 32), seed) for seed in range(given.repeats + 1)]
    seconds: dict[str, list[float]] = {"bare": [], "ray": []}
    with NegativeSampler(pool, models[0], strategy="entropy", k=K, shards=2, fleet="ray") as sampler:
        for epoch, model in enumerate(models):
            bare = timed(lambda model=model: bare_loop(model, pool))
            ray = timed(lambda model=model, epoch=epoch: sampler.select(model.state_dict(), epoch))
            if epoch:  # the first of each warms up
                seconds["bare"].append(bare)
                seconds["ray"].append(ray)
    write(seconds, len(pool))


def negative_bags(root: str) -> BagSet:
    """All negative training bags of class 0."""
    train, _ = load(DataConfig(name="cifar10", root=root))
    plan = plan_bags(train.labels == 0, 5, "uniform", seed=0)
    number = np.arange(len(plan.label), dtype=np.int64)
    return BagSet(train, plan.rows, plan.offsets, plan.label, "train-class0", number).only(0)


def bare_loop(model: torch.nn.Module, pool: BagSet) -> torch.Tensor:
    """The pool's logits, block by block."""
    model.eval()
    with torch.inference_mode():
        blocks = [np.arange(start, min(start + BLOCK, len(pool))) for start in range(0, len(pool), BLOCK)]
        return torch.cat([model(pool.gather(block)) for block in blocks])


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write(seconds: dict[str, list[float]], bags: int) -> None:
    """The result as Markdown, and on the screen."""
    bare, ray = median(seconds["bare"]), median(seconds["ray"])
    ratios = sorted(one / other for one, other in zip(seconds["ray"], seconds["bare"], strict=True))
    found = versions()
    text = (
        f"# Selection through two Ray scorers against a bare torch loop\n\n"
        f"{datetime.date.today()}, {found['machine']}, torch {found['torch']}, ray {found['ray']}; {bags:,} bags of "
        f"five CIFAR-10 images, SimpleCNN, entropy, k = {K:,}; {len(ratios)} alternating pairs;\n"
        f"`python -m tests.bench.overhead --root FOLDER`\n\n"
        f"Ratio of the medians **{ray / bare:.2f}** (pairs: {ratios[0]:.2f} to {ratios[-1]:.2f}; "
        f"medians {ray:.2f} s and {bare:.2f} s).\n"
    )
    Path(__file__).with_name("overhead.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
