"""What runs say that they cost, bags trained and a third of those scored, beside the time that they take.

    python -m tests.bench.cost --root FOLDER [--turns 5]

Short runs of CIFAR-10 bags, in turns, on one thread and one shard; processor time of selecting and training, since
other work may share the machine. Results go to tests/bench/cost.md.
"""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")})

import argparse
import datetime
import tempfile
import time
from pathlib import Path
from statistics import median

from negsift.common import stage_timer
from negsift.common.overrides import override
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.deploy.versions import versions
from negsift.trainer.budget import FORWARDS

WAYS = {
    "full": "cifar10 strategy.name=full training.epochs=1",
    "random": "cifar10 training.epochs=3",
    "entropy": "cifar10 strategy.name=entropy training.epochs=3 sampling.random_rounds=0",
    "badge": "cifar10 strategy.name=badge training.epochs=3 sampling.random_rounds=0",
    "svm_margin": "cifar10 strategy.name=svm_margin training.epochs=3 sampling.random_rounds=0",
    "`cifar10-quarter`": "cifar10-quarter training.budget=7000",
    "the same, `ht_gumbel` among 1,500": "cifar10-quarter training.budget=7000 strategy.name=ht_gumbel "
    "sampling.candidates=1500 sampling.random_rounds=0",
    "the same, entropy by memory": "cifar10-quarter training.budget=7000 strategy.name=entropy sampling.score=memory "
    "sampling.random_rounds=1",
    "`cifar10-tenth`": "cifar10-tenth training.budget=7000",
}


def measured(runner: Runner, words: str, root: str) -> tuple[float, float]:
    """The cost of a run in bags, and its seconds of selecting and training."""
    name, *settings = words.split()
    config = override(
        recipe(name), [*settings, f"data.root={root}", "training.threads=1", "fleet.kind=local", "fleet.shards=1"]
    )
    with tempfile.TemporaryDirectory() as folder:
        summary = runner.run(config, Path(folder) / "run")
    bags, seconds = summary["bags"], summary["seconds"]
    return bags["trained"] + bags["scored"] / FORWARDS, seconds["total"] - seconds["evaluate"]


def main() -> None:
    """Measure all ways in turns, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    stage_timer.time.perf_counter = time.process_time  # type: ignore[assignment]  # for all stages of this program
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with Runner() as runner:
        for turn in range(options.turns + 1):
            for name, words in WAYS.items():
                one = measured(runner, words, options.root)
                if turn:  # the first one warms up
                    found[name].append(one)
    lines = [
        "# Reported cost and time", "",
        f"{datetime.date.today()}, {versions()['machine']}; class airplane, one thread, one shard, processor time of selecting",
        f"and training, medians of {options.turns} turns; `python -m tests.bench.cost --root FOLDER`. A bag's cost is 1 if it is trained on",
        f"and 1/{FORWARDS} if it is scored. Over `random` are the milliseconds of a unit of cost over those of `random` in the same turn.",
        "", "| run | cost | ms a unit | over `random` |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, runs in found.items():
        each = [1e3 * seconds / cost for cost, seconds in runs]
        over = [own / (1e3 * base[1] / base[0]) for own, base in zip(each, found["random"], strict=True)]
        lines.append(f"| {name} | {runs[0][0]:,.0f} | {median(each):.3f} | {median(over):.2f} |")
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
