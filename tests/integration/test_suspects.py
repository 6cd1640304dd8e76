"""Positives hidden among the negatives of real digits are found from a run's folder, with pictures and as CSV."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.overrides import override
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.trainer.report import write_report

HIDDEN = 6


class Hiding(Runner):
    """Has some positive bags in the pool, after all others."""

    def split(self, config: DataConfig) -> Split:
        split = super().split(config)
        order = np.random.default_rng(0).permutation(len(split.positives))
        hidden = split.positives.subset(np.sort(order[:HIDDEN]))
        hidden = replace(hidden, label=np.zeros(HIDDEN, dtype=np.int64))  # type: ignore[type-var]  # a BagSet
        rest = split.positives.subset(np.sort(order[HIDDEN:]))
        return replace(split, positives=rest, pool=split.pool.joined(hidden))


@pytest.mark.parametrize("strategy", ["random", "entropy"])
def test_hidden_positives_are_listed_and_few_others(strategy: str, tmp_path: Path) -> None:
    settings = [f"strategy.name={strategy}", "data.target=0", "sampling.ratio=0.3", "training.epochs=12"]
    settings += ["fleet.kind=local", "fleet.shards=1", "training.threads=1"]
    config = override(digits(), settings)
    with Hiding() as runner:
        runner.run(config, tmp_path)
        split = runner.split(config.data)
    page = write_report(tmp_path, lambda _: split).read_text()
    first = len(split.pool) - HIDDEN
    rows = list(csv.DictReader((tmp_path / "suspects.csv").read_text().splitlines()))
    listed = [int(row["index"]) for row in rows]
    assert sum(index >= first for index in listed) >= HIDDEN - 2
    assert sum(index < first for index in listed) <= 1
    assert [row["bag_id"] for row in rows] == split.pool.bag_id(np.array(listed))
    assert all(2 * int(row["positive_epochs"]) >= int(row["epochs"]) >= 3 for row in rows)
    section = page.partition("Suspected false negatives")[2].partition("<h2>")[0]
    assert section.count("data:image/png;base64,") == len(rows)
