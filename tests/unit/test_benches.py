"""The benches: all are imported, so that none refers to what is gone, and the cheap ones run at their smallest size."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.service import NegativeSampler
from negsift.trainer.config import TrainingConfig
from negsift.trainer.learner import Learner

BENCHES = sorted(path.stem for path in (Path(__file__).parents[1] / "bench").glob("*.py") if path.stem != "__init__")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Some benches set the number of threads for all they import."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_imports_only_what_there_is(name: str) -> None:
    assert importlib.import_module(f"tests.bench.{name}").__doc__


def test_many_shards_have_the_picks_of_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.bench import many_shards

    monkeypatch.setattr(many_shards, "WANTED", (10, 5_000))
    monkeypatch.setattr(sys, "argv", ["many_shards", "--positions", "20000", "--out", str(tmp_path / "found.md")])
    many_shards.main()
    rows = [
        line for line in (tmp_path / "found.md").read_text().splitlines() if line.startswith(("| distinct", "| 50"))
    ]
    assert len(rows) == 12
    assert all(row.endswith("| yes |") for row in rows)


def test_forms_of_a_pool_in_memory_take_turns_with_the_loop() -> None:
    from tests.bench import pool_speed

    seconds = pool_speed.in_turns(torch.randn(1100, *pool_speed.SHAPE), pool_speed.MeanOfInstances(), turns=1)
    assert list(map(len, seconds.values())) == [1, 1, 1, 1]


def test_scoring_is_compared_with_the_same_network() -> None:
    from tests.bench import scoring

    model, images = (
        make_model(ModelConfig(), (3, 32, 32), seed=0).eval(),
        torch.randint(0, 256, (330, 3, 32, 32), dtype=torch.uint8),
    )
    assert torch.equal(scoring.embed(model, images), scoring.embed(scoring.two_layers(model), images))


def test_the_k_best_are_timed_beside_their_peers() -> None:
    from tests.bench import top_k

    assert len(top_k.measure("tied", 1_000, 10)) == 3 + len(top_k.ways(torch.zeros(1).double().numpy(), 1))


def test_an_epoch_ahead_trains_and_selects() -> None:
    from tests.bench import ahead

    split = load_split(DataConfig(name="digits"))
    model = make_model(ModelConfig(), (1, 32, 32), seed=0)
    learner = Learner(model, TrainingConfig(), 0)
    with NegativeSampler(split.pool, model, strategy="random", k=8, shards=1, staleness=1) as sampler:
        ahead.Epochs(split, learner, sampler).both()
