"""What a version of negsift must not change unsaid: picks that are the same on any machine, and one whole run.

    python -m tests.golden.figures > tests/golden/figures.json

records anew; a change that does so says why.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from negsift.common.data.bags import plan_bags
from negsift.common.data.config import DataConfig
from negsift.common.data.digits import load
from negsift.common.rng import stream_key, uniform_keys
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.farthest_first import farthest_first
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.strategies import StrategyConfig
from negsift.trainer.config import TrainingConfig

Json = dict[str, Any]
POINTS, COLUMNS, WANTED = 3_000, 12, 40


def picks() -> Json:
    """Functions of whole numbers and hashes, the same bits everywhere."""
    numbers = uniform_keys(stream_key(0, "golden"), np.arange(POINTS * (COLUMNS + 1), dtype=np.int64))
    length, steps = numbers[:POINTS, None] ** 3, numbers[POINTS:].reshape(POINTS, COLUMNS) - 0.5
    rows = np.rint(length * steps * 2**20).astype(np.float32)
    pool = LocalPool(ShardRows(Points(np.arange(POINTS, dtype=np.int64), (rows,))))
    by_hash = np.argsort(-uniform_keys(stream_key(7, "random", 3), np.arange(POINTS)))[:WANTED]
    plan = plan_bags(np.arange(400) % 10 == 0, 5, "uniform", seed=0)
    return {
        "badge": d2_sample(pool, SeedingSpec(WANTED, 0, 0)).index.tolist(),
        "badge, another epoch": d2_sample(pool, SeedingSpec(WANTED, 0, 1)).index.tolist(),
        "k_center": farthest_first(pool, SeedingSpec(WANTED, 0, 0)).index.tolist(),
        "random": by_hash.tolist(),
        "bags": [plan.rows[:WANTED].tolist(), plan.offsets.tolist(), plan.positives.tolist()],
        "digits": np.bincount(load(DataConfig())[0].labels).tolist(),
    }


def run() -> Json:
    """Losses and validation scores of a short run, epoch by epoch: those of this processor, others round differently."""
    config = replace(
        digits(), strategy=StrategyConfig(name="badge"), fleet=FleetConfig(kind="local", shards=2),
        training=replace(TrainingConfig(), epochs=4, batch=16),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Runner() as runner:
        runner.run(config, Path(folder))
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return {"loss": [line["loss"] for line in lines], "ap": [line["val"]["ap"] for line in lines]}


if __name__ == "__main__":
    json.dump({"picks": picks(), "run": run()}, sys.stdout)
    sys.stdout.write("\n")
