"""Run folders as training leaves them, made up for reports."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.data.bagset import BagSet
from negsift.common.data.instances import Instances
from negsift.common.data.split import Split
from negsift.common.errors import BadData
from negsift.trainer.results.runs import ReportedRun
from tests.unit.toys import stack_bags

POOL, K, EPOCHS = 20, 6, 3


TEST_AP = {"random": (0.70, 0.74, 0.72), "badge": (0.80, 0.79, 0.84), "margin": (0.75, 0.70, 0.77)}


def pool_of(shape: tuple[int, ...] = (1, 4, 4), name: str = "train-class0") -> BagSet:
    pixels = np.random.default_rng(0).integers(0, 256, (POOL * 2, *shape), dtype=np.uint8)
    instances = Instances(np.zeros(POOL * 2, dtype=np.int64), ("no", "yes"), in_memory=pixels)
    bags = list(np.arange(POOL * 2).reshape(POOL, 2))
    return stack_bags(instances, bags, np.zeros(POOL, dtype=np.int64), name)


def lookup(run: ReportedRun) -> Split:
    pool = pool_of()
    return Split(pool, pool, pool, pool)


def epoch_line(epoch: int, ap: float | None) -> dict[str, Any]:
    seconds = {"prepare": 0.0, "score": 0.1, "merge": 0.1, "select": 0.3, "train": 1.0, "evaluate": 0.2, "total": 1.6}
    counts = {"chosen": K, "pool": POOL, "scored": POOL, "dropped": 0, "filled": 0, "retries": 0}
    shares = {"overlap": 0.5 if epoch else None, "coverage": 0.4}
    val = {"ap": ap, "roc_auc": 0.8}
    return {"epoch": epoch, "loss": 0.5, "val": val, "fresh": True, **counts, **shares, "seconds": seconds}


def summary_of(test_ap: float) -> dict[str, Any]:
    both = {"ap": test_ap, "roc_auc": 0.9}
    bags = {"positive": K, "pool": POOL, "k": K, "trained": 36, "scored": 60}
    summary: dict[str, Any] = {"epochs_run": EPOCHS, "best_epoch": 1, "val": both, "test": both, "last": both}
    return summary | {
        "bags": bags,
        "dropped_instances": [],
        "versions": {"torch": "2.11", "git": "abc1234", "machine": "2 cores"},
    }


def make_run(path: Path, strategy: str = "badge", seed: int = 0, **changes: Any) -> Path:
    """A finished run; `changes` go into the configuration by dotted key with __ for the dot."""
    config: dict[str, Any] = {"recipe": "toy", "seed": seed, "strategy": {"name": strategy}}
    config |= {"data": {"name": "digits", "target": "0"}, "model": {"name": "cnn", "pooling": "max"}}
    for key, value in changes.items():
        section, name = key.split("__")
        config.setdefault(section, {})[name] = value
    (path / "selections").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    lines = [json.dumps(epoch_line(epoch, 0.5 + 0.1 * epoch)) for epoch in range(EPOCHS)]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (path / "summary.json").write_text(json.dumps(summary_of(TEST_AP.get(strategy, (0.6,) * 3)[seed])))
    for epoch in range(EPOCHS):
        choose(path, epoch, np.arange(epoch, epoch + K))
    return path


def choose(path: Path, epoch: int, index: np.ndarray[Any, Any]) -> None:
    table = {"index": index, "bag_id": pool_of().bag_id(index), "score": np.linspace(1, 0, len(index))}
    pq.write_table(pa.table(table), path / "selections" / f"epoch={epoch:04d}.parquet")


def make_sweep(folder: Path, strategies: Sequence[str] = tuple(TEST_AP)) -> Path:
    for strategy in strategies:
        for seed in range(3):
            make_run(folder / f"{strategy}-seed{seed}", strategy, seed)
    return folder


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refuse(run: ReportedRun) -> Split:
    raise BadData("no such folder", "a folder", "mount it")
