"""Trials of a sweep made up in memory or as folders, a line each."""

import json
import math
from pathlib import Path
from typing import Any

from negsift.trainer.results.runs import EpochMetrics, ReportedRun, RunSummary
from negsift.trainer.results.trials import FINISHED, Trial

POSITIVE, K, POOL = 10, 20, 100


def config_of(strategy: str, target: str, seed: int, ratio: float) -> dict[str, Any]:
    data, sampling = {"name": "toy", "target": target, "bag_seed": 0}, {"ratio": ratio}
    return {"recipe": "toy", "seed": seed, "data": data, "strategy": {"name": strategy}, "sampling": sampling}


def made_run(
    strategy: str, ap: float, target: str = "0", seed: int = 0, ratio: float = 1.0, **settings: str
) -> ReportedRun:
    """A finished run of two epochs; `settings` are further keys with __ for the dot."""
    config = config_of(strategy, target, seed, ratio)
    keys = {"recipe": "toy", "seed": str(seed), "data.name": "toy", "data.target": target, "data.bag_seed": "0"}
    keys |= {"strategy.name": strategy, "sampling.ratio": str(ratio)}
    keys |= {key.replace("__", "."): value for key, value in settings.items()}
    name = f"{strategy}-{target}-{seed}-{ratio}-{'-'.join(settings.values())}"
    epochs = tuple(made_epoch(number, ap - 0.1 * (1 - number)) for number in range(2))
    values = dict.fromkeys(("epochs_run", "best_epoch", "val.ap", "val.roc_auc"), 1.0)
    values |= {"test.ap": ap, "last.ap": ap, "test.roc_auc": ap, "last.roc_auc": ap, "bags.positive": POSITIVE}
    values |= {"bags.pool": POOL, "bags.k": K, "bags.trained": 2 * (POSITIVE + K), "bags.scored": POOL}
    return ReportedRun(Path(name), name, config, keys, epochs, RunSummary(values, (), {}, ""))


def made_epoch(number: int, ap: float) -> EpochMetrics:
    values = dict.fromkeys(("loss", "fresh", "dropped", "filled", "retries", "considered", "oldest", "overlap"), 0.0)
    values |= {"coverage": 0.0, "val.ap": ap, "val.roc_auc": ap, "chosen": K, "pool": POOL, "scored": POOL * number}
    values["trained"] = math.nan  # as in runs before it was recorded
    stages = ("prepare", "score", "merge", "select", "train", "evaluate", "total")
    return EpochMetrics(number, values | {f"seconds.{stage}": 4.0 if stage == "total" else 1.0 for stage in stages})


def made_trial(strategy: str, ap: float, target: str = "0", seed: int = 0, ratio: float = 1.0, **more: str) -> Trial:
    run = made_run(strategy, ap, target, seed, ratio, **more)
    return Trial(run.name, run.path, FINISHED, "", run)


def write_trial(path: Path, strategy: str, ap: float | None, seed: int = 0, ratio: float = 1.0) -> Path:
    """A run's folder; without a summary if `ap` is None, NaN as null."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config_of(strategy, "0", seed, ratio)))
    val = {"ap": 0.5, "roc_auc": 0.5}
    line = {"epoch": 0, "val": val, "chosen": K, "scored": POOL, "seconds": {"total": 2.0, "select": 0.5}}
    (path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    if ap is not None:
        both = {"ap": None if math.isnan(ap) else ap, "roc_auc": 0.9}
        bags = {"positive": POSITIVE, "pool": POOL, "k": K, "trained": POSITIVE + K, "scored": POOL}
        summary = {"strategy": strategy, "best_epoch": 0, "val": val, "test": both, "last": both, "bags": bags}
        (path / "summary.json").write_text(json.dumps(summary | {"epochs_run": 1, "dropped_instances": []}))
    return path
