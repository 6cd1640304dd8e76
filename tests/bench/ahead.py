"""An epoch of CIFAR-10 bags that trains while the next selection is made, against either of the two alone.

    python -m tests.bench.ahead --root FOLDER [--repeats 7]

Class 0, SimpleCNN, entropy, two negatives a positive. The trainer has one thread, one Ray scorer one CPU.
Training alone, selection alone and both at once (`sampling.staleness=1`) take turns; weights differ every
time, so nothing is cached. Results go to tests/bench/ahead.md.
"""

import argparse
import datetime
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.types import Selection
from negsift.deploy.versions import versions
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.trainer.config import TrainingConfig
from negsift.trainer.epoch_positives import ChosenPositives
from negsift.trainer.learner import Learner
from negsift.trainer.loader import EpochBatches, epoch_order, epoch_set
from tests.bench.kmeanspp import cpu_model


class Epochs:
    """Single epochs, one after the other, on one learner and one scorer."""

    def __init__(self, split: Split, learner: Learner, sampler: NegativeSampler) -> None:
        self._split, self._learner, self._sampler = split, learner, sampler
        self._epoch, self._chosen = 0, sampler.select(learner.model.state_dict(), 0)

    def train(self) -> None:
        """Train on the last selection."""
        bags = epoch_set(ChosenPositives.alike(self._split.positives), self._split.pool, self._chosen)
        order = epoch_order(bags.bags.label, 0, self._epoch, TrainingConfig())
        self._learner.train(EpochBatches(bags, order, 32), self._epoch)
        self._epoch += 1

    def select(self) -> Selection:
        """A selection with the weights there are."""
        self._chosen = self._sampler.select(self._learner.model.state_dict(), self._epoch)
        return self._chosen

    def both(self) -> None:
        """Ask for the next selection, train on the last one, wait for what is left."""
        pending = self._sampler.submit(self._learner.model.state_dict(), self._epoch + 1, self._epoch)
        self.train()
        self._chosen = pending.result()


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    split = load_split(DataConfig(name="cifar10", root=given.root))
    model = make_model(ModelConfig(), (3, 32, 32), seed=0)
    learner, k = Learner(model, TrainingConfig(), 0), 2 * len(split.positives)
    options = FleetConfig(cpus_per_shard=1.0)
    with NegativeSampler(
        split.pool, model, strategy="entropy", k=k, shards=1, fleet="ray", staleness=1, options=options
    ) as sampler:
        epochs = Epochs(split, learner, sampler)
        epochs.both()
        ways = {"training alone": epochs.train, "selection alone": epochs.select, "both at once": epochs.both}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.repeats):
            for name, way in ways.items():
                times[name].append(seconds(way))
    write(times, f"{len(split.pool):,} bags scored, {len(split.positives) + k:,} trained", given.repeats)


def write(times: dict[str, list[float]], sizes: str, repeats: int) -> None:
    """The table, with the ratio of each turn's epoch to the longer of the same turn's parts."""
    train, select, both = times.values()
    ratios = [b / max(t, s) for t, s, b in zip(train, select, both, strict=True)]
    sums = [b / (t + s) for t, s, b in zip(train, select, both, strict=True)]
    lines = [
        "# Training while the next selection is made", "",
        f"{datetime.date.today()}, {cpu_model()}, {versions()['machine']}, commit {versions()['git']};",
        "`python -m tests.bench.ahead --root FOLDER`", "",
        f"Class 0, {sizes}, entropy, one thread each; {repeats} turns.", "",
        "| an epoch, wall time | median, s | all, s |", "|---|---|---|",
        *(f"| {name} | {median(found):.2f} | {', '.join(f'{each:.2f}' for each in found)} |" for name, found in times.items()),
        "",
        f"Both at once / the longer of the two: median {median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}).",
        f"Both at once / one after the other: median {median(sums):.2f}.",
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
