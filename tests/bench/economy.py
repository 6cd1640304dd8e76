"""Cheaper scoring on CIFAR-10 bags: what it saves of a round, and what it changes in the picks.

    python -m tests.bench.economy --root FOLDER [--epochs 8] [--repeats 3]

A run of gradient embedding (class 0, SimpleCNN, one negative to five positives) gives the weights of every epoch, a
second one with a frozen backbone those for `frozen`. Each way then chooses for the same epochs with the same
weights, on one thread, in turn. Results go to tests/bench/economy.md.
"""

import argparse
import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
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
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.trainer.config import TrainingConfig
from negsift.trainer.epoch_positives import ChosenPositives
from negsift.trainer.learner import Learner
from negsift.trainer.loader import EpochBatches, epoch_order, epoch_set
from tests.bench.kmeanspp import cpu_model

STRATEGY = "gradient_embedding"
Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Way:
    """One way to score, with the sampler's keys and the shard's."""

    name: str
    sampler: Mapping[str, Any] = field(default_factory=dict)  # Any: NegativeSampler's
    scoring: Mapping[str, Any] = field(default_factory=dict)  # Any: ScoringConfig's


def ways(pool: int) -> Sequence[Way]:
    """The whole pool first, which the others are measured by."""
    shares = (0.5, 0.25, 0.1)
    return [
        Way("whole pool, float32"),
        *(Way(f"candidates, {share:.0%} of the pool", {"candidates": int(share * pool)}) for share in shares),
        *(Way(f"rescore, {share:.0%} of the pool", {"rescore": int(share * pool)}) for share in shares),
        Way("bfloat16", scoring={"precision": "bfloat16"}),
        Way("channels last", scoring={"channels_last": True}),
        Way("compiled", scoring={"compile": True}),
    ]


@dataclass
class Found:
    """Of each epoch: the share of the full round's picks, their mean rank there, the bags scored, all seconds."""

    shared: list[float] = field(default_factory=list)
    rank: list[float] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)


def weights_of_a_run(split: Split, epochs: int, freeze: bool) -> Sequence[Weights]:
    """The weights before each epoch of a run that scores the whole pool."""
    learner = Learner(make_model(ModelConfig(), (3, 32, 32), seed=0), TrainingConfig(freeze=freeze), 0)
    kept: list[Weights] = []
    with NegativeSampler(split.pool, learner.model, strategy=STRATEGY, k=len(split.positives) // 5) as sampler:
        for epoch in range(epochs):
            kept.append({name: value.clone() for name, value in learner.model.state_dict().items()})
            bags = epoch_set(ChosenPositives.alike(split.positives), split.pool, sampler.select(kept[-1], epoch))
            order = epoch_order(bags.bags.label, 0, epoch, TrainingConfig())
            learner.train(EpochBatches(bags, order, 32), epoch)
    return kept


def measure(split: Split, tried: Sequence[Way], weights: Sequence[Weights], repeats: int) -> dict[str, Found]:
    """All ways side by side, epoch by epoch; a ratio is to the whole pool's seconds of the same turn."""
    found = {way.name: Found() for way in tried}
    for turn in range(repeats):
        samplers = [_sampler(split, way) for way in tried]
        for epoch, given in enumerate(weights):
            rounds = [_timed(sampler, given, epoch) for sampler in samplers]
            if epoch == 0:  # all compile or score everything for the first time
                continue
            for way, (selection, seconds) in zip(tried, rounds, strict=True):
                found[way.name].ratio.append(seconds / rounds[0][1])
                if turn == 0:
                    _compare(found[way.name], selection, rounds[0][0], _ranks(split, given, epoch))
        for sampler in samplers:
            sampler.close()
    return found


def _sampler(split: Split, way: Way) -> NegativeSampler:
    options = FleetConfig(scoring=ScoringConfig(**way.scoring))
    k, model = len(split.positives) // 5, make_model(ModelConfig(), (3, 32, 32), seed=0)
    return NegativeSampler(split.pool, model, strategy=STRATEGY, k=k, shards=1, options=options, **way.sampler)


def _timed(sampler: NegativeSampler, weights: Weights, epoch: int) -> tuple[Selection, float]:
    start = time.perf_counter()
    return sampler.select(weights, epoch), time.perf_counter() - start


def _ranks(split: Split, weights: Weights, epoch: int) -> np.ndarray[Any, Any]:
    """Every bag's rank in the whole pool with these weights, as a share of it: 0 is the best."""
    model, pool = make_model(ModelConfig(), (3, 32, 32), seed=0), len(split.pool)
    with NegativeSampler(split.pool, model, strategy=STRATEGY, k=pool) as sampler:
        order = sampler.select(weights, epoch).index
    ranks = np.zeros(pool)
    ranks[order] = np.arange(pool) / pool
    return ranks


def _compare(found: Found, selection: Selection, full: Selection, ranks: np.ndarray[Any, Any]) -> None:
    found.shared.append(len(np.intersect1d(selection.index, full.index)) / len(full.index))
    found.rank.append(float(ranks[selection.index].mean()))
    found.scored.append(selection.account.scored)


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    split = load_split(DataConfig(name="cifar10", root=given.root))
    plain, *_ = tried = ways(len(split.pool))
    found = measure(split, tried, weights_of_a_run(split, given.epochs, freeze=False), given.repeats)
    frozen = [plain, Way("frozen backbone, features kept", scoring={"frozen": True})]
    kept = measure(split, frozen, weights_of_a_run(split, given.epochs, freeze=True), given.repeats)
    found |= {name: each for name, each in kept.items() if name != plain.name}
    write(found, split, given.epochs - 1, given.repeats)


def write(found: dict[str, Found], split: Split, epochs: int, repeats: int) -> None:
    """The table."""
    lines = [
        "# Cheaper scoring: what it saves, and what it changes in the picks", "",
        f"{datetime.date.today()}, {cpu_model()}, {versions()['machine']}, torch {torch.__version__}, commit {versions()['git']};",
        "`python -m tests.bench.economy --root FOLDER`", "",
        f"CIFAR-10, class 0: a pool of {len(split.pool):,}, k = {len(split.positives) // 5:,}, {STRATEGY}; {epochs} epochs "
        f"after the first, the same weights for all; seconds in {repeats} turns, side by side.", "",
        "| way | bags scored | seconds, to the whole pool's | picks of the whole pool's | mean rank of the picks |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {mean(each.scored):,.0f} | {median(each.ratio):.2f} | {mean(each.shared):.0%} | "
            f"{mean(each.rank):.1%} |" for name, each in found.items()
        ),
        "", "Rank: 0 % is the bag that the whole pool's round wants most, 100 % the one it wants least. `frozen` is "
        "measured on a run that trains the head alone, against the whole pool's round on that run.",
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
