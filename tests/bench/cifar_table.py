"""Runs the CIFAR-10 image bags of the paper and writes the table of means over seeds.

    python -m tests.bench.cifar_table --root FOLDER [--only paper,aggregation,more] [--out runs/cifar]

Finished runs are not repeated; an interrupted one goes on. The table goes to tests/bench/cifar10.md,
with the date, the machine and the command.
"""

import argparse
import datetime
import logging
import shlex
import sys
from pathlib import Path
from statistics import mean, stdev

from negsift.common.overrides import override
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.deploy.versions import versions
from negsift.service.strategies import STRATEGIES
from negsift.trainer.folder import Json

SEEDS = (0, 1, 2)
GROUPS: dict[str, dict[str, list[str]]] = {
    "paper": {
        "full": ["strategy.name=full"],
        "random": [],
    },
    "aggregation": {
        "random, softmax_mean": ["model.pooling=softmax_mean"],
        "random, softmax_max": ["model.pooling=softmax_max"],
        "random, attention": ["model.pooling=attention"],
    },
    "more": {
        "class 1, full": ["strategy.name=full", "data.target=1"],
        "class 1, random": ["data.target=1"],
    },
    "strategies": {name: [f"strategy.name={name}"] for name in STRATEGIES if name not in ("full", "random")},
    "few": {
        f"{name}, ratio 5": [f"strategy.name={name}", "sampling.ratio=5"]
        for name in ("random", "entropy", "gradient_embedding", "badge", "kl_prob", "svm_margin")
    },
}  # fmt: skip


def main() -> None:
    """Run the groups asked for and write the table of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    rows: dict[str, list[Json]] = {}
    for group in given.only.split(","):
        for name, settings in GROUPS[group].items():
            common = [*settings, f"data.root={given.root}"]
            rows[name] = [run(name, [*common, f"seed={seed}"], given.out) for seed in SEEDS]
            write(rows, Path(__file__).with_name("cifar10.md"))


def run(name: str, settings: list[str], out: Path) -> Json:
    """One run in a folder named after its row and seed."""
    config = override(recipe("cifar10"), settings)
    folder = out / f"{name.replace(', ', '-').replace(' ', '')}-seed{config.seed}"
    with Runner() as runner:
        return runner.run(config, folder)


def write(rows: dict[str, list[Json]], path: Path) -> None:
    """The table as Markdown."""
    found = versions()
    lines = [
        "# CIFAR-10 image bags: SimpleCNN, class 0, mean_softmax and ratio 1 unless named, at most 12 epochs", "",
        f"{datetime.date.today()}, {found['machine']}, torch {found['torch']}; seeds {SEEDS}; mean ± standard error;",
        f"`{shlex.join(['python', '-m', 'tests.bench.cifar_table', '--root', 'FOLDER'])}`", "",
        "| run | test AP, best epoch | ROC-AUC, best epoch | test AP, last epoch | trained | scored | seconds |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {' | '.join(cells(runs))} |" for name, runs in rows.items()]
    path.write_text("\n".join(lines) + "\n")


def cells(runs: list[Json]) -> list[str]:
    """A row's cells: means over the runs."""
    measured = (("test", "ap"), ("test", "roc_auc"), ("last", "ap"))
    columns = [[one[part][metric] for one in runs] for part, metric in measured]
    spread = [f"{mean(values):.3f} ± {stdev(values) / len(values) ** 0.5:.3f}" for values in columns]
    counts = [f"{round(mean(one['bags'][kind] for one in runs)):,}" for kind in ("trained", "scored")]
    return [*spread, *counts, f"{mean(one['seconds']['total'] for one in runs):.0f}"]


if __name__ == "__main__":
    main()
