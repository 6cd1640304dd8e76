"""The demo: the main job on embedded real data, negatives chosen by two Ray scorers each epoch."""

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.service.strategies import StrategyConfig
from negsift.trainer.folder import Json
from negsift.trainer.report import write_report

STRATEGIES = ("random", "entropy", "svm_margin", "badge")
SEEDS = (0, 1, 2)


def run_demo(out: Path) -> None:
    """Train every strategy with every seed, print a table, write a report; finished runs are not repeated."""
    results: dict[str, list[Json]] = {name: [] for name in STRATEGIES}
    with Runner() as runner:
        for seed in SEEDS:
            for name in STRATEGIES:
                print(f"\n{name}, seed {seed}")
                results[name].append(runner.run(demo_config(name, seed), out / f"{name}-seed{seed}"))
    print(f"\n{table(results)}\n\nreport: {write_report(out, runner.bags_of)}")


def demo_config(strategy: str, seed: int) -> RunConfig:
    """The digits recipe on a local Ray with two scorers."""
    return replace(digits(), seed=seed, strategy=StrategyConfig(strategy), fleet=FleetConfig(kind="ray", shards=2))


def table(results: dict[str, list[Json]]) -> str:
    """Mean and standard error over seeds, a line a strategy."""
    runs = len(next(iter(results.values())))
    head = f"{'strategy':12} {'test AP':>16} {'test ROC-AUC':>16} {'bags trained':>13} {'scored':>7} {'seconds':>8}"
    lines = [f"at the best validation epoch, mean ± standard error of {runs} seeds", head]
    for name, summaries in results.items():
        tests = ([run["test"][metric] for run in summaries] for metric in ("ap", "roc_auc"))
        ap, area = (f"{mean(values):.4f} ± {stdev(values) / len(values) ** 0.5:.4f}" for values in tests)
        trained, scored = (round(mean(run["bags"][kind] for run in summaries)) for kind in ("trained", "scored"))
        seconds = mean(run["seconds"]["total"] for run in summaries)
        lines.append(f"{name:12} {ap:>16} {area:>16} {trained:>13,} {scored:>7,} {seconds:>8.1f}")
    return "\n".join(lines)
