"""`negsift plan`: what it prints, measured on this machine or from a given rate, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from negsift.common.overrides import override
from negsift.deploy.main import main
from negsift.deploy.plan.advice import advice
from negsift.deploy.plan.asked import Asked, planned_rounds
from negsift.deploy.plan.measure import Measured, Speed
from negsift.deploy.plan.memory import Working
from negsift.deploy.plan.plan import make_plan
from negsift.deploy.recipes import recipe
from tests.unit.tables import as_table, random_bags, third_positive, write


def lines_of(capsys: pytest.CaptureFixture[str], words: str) -> list[str]:
    """What the command prints."""
    assert main(["plan", *words.split()]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_plan_for_other_machines_takes_their_rate(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(
        capsys, "cifar10 strategy.name=entropy --bags 1e8 --bag-bytes 15360 --gpus 16 --nodes 2 --rate 100k"
    )
    assert (
        lines[0]
        == "100,000,000 bags of 5 instances and 15,360 bytes, 1.4 TiB in memory; entropy picks 1,000,000 of them"
    )
    assert lines[1] == "1,000,000 positive bags: 1 for 100 of the pool, without --positives"
    assert lines[2] == "16 Ray scorers of 1 GPU each on 2 nodes; 100,000 bags a second a scorer, as --rate says"
    rows = {line.split()[0]: line.split() for line in lines[4:] if line}
    assert list(rows)[:10] == [
        "what", "round", "training", "validation", "share", "scorer", "coordinator", "node", "store", "network",
    ]  # fmt: skip
    assert rows["round"][1:5] == ["62.5", "s", "scoring", "62.5"]
    assert rows["training"][1] == "60"  # 2 million bags at a third of the rate
    assert "selection is no slower than training with 17 GPUs or more" in lines


def test_what_does_not_fit_a_node_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = "table strategy.name=entropy fleet.pool_mb=9000 --bags 1e8 --bag-bytes 12KiB --features 512 --rate 1k"
    lines = lines_of(capsys, f"{words} --cpus 32 --node-memory 64GiB --positives 1k")
    small = next(line for line in lines if "too small" in line)
    assert small.startswith("a node of 64 GiB is too small by ")
    assert small.endswith("most is pool: lower fleet.pool_mb, or use a bag table if it is none")


def test_the_rate_is_measured_by_rounds_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(
        capsys, "digits strategy.name=badge data.image_size=16 training.threads=1 --bags 1000 --positives 50 --cpus 1"
    )
    assert lines[1].startswith("1 Ray scorer of 1 thread each on 1 node; ")
    assert "bags a second a scorer, measured now on 1 thread of this machine" in lines[1]


def test_a_table_is_planned_from_its_own_row_groups(tmp_path: Path) -> None:
    bags = random_bags(300)
    write(tmp_path / "pool", as_table(bags, third_positive(300)), group_mb=0.001)
    plan = make_plan(override(recipe("table"), [f"data.root={tmp_path / 'pool'}"]), Asked(100_000, rate=1e3))
    form = plan.work.form
    assert form.instances == pytest.approx(np.mean([len(bag) for bag in bags]))
    assert form.decoded_bytes == pytest.approx(form.instances * 6 * 2)
    assert form.used == pytest.approx(0.8)  # nothing is marked, so a tenth each is set aside to validate and to test
    assert form.validated == pytest.approx(0.1 / 0.8)


def test_a_table_of_few_bags_is_enough_to_plan_by(tmp_path: Path) -> None:
    write(tmp_path / "pool", as_table(random_bags(12), third_positive(12)))
    settings = [f"data.root={tmp_path / 'pool'}", "strategy.name=entropy", "fleet.block=4", "training.threads=1"]
    plan = make_plan(override(recipe("table"), settings), Asked(1_000_000, cpus=1))
    assert plan.measured.train > 0


def test_a_busy_machine_is_told() -> None:
    plan = make_plan(recipe("digits"), Asked(1_000, rate=1e3))
    slow = Measured((Speed(rate=100.0, per_processor=200.0),) * 3, 10.0, Working(), 64, threads=2, share=1.0)
    told = "other work keeps this machine busy: alone, its threads may score 4.0 times as fast"
    assert told in list(advice(replace(plan, measured=slow)))
    assert told not in list(advice(plan))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("digits", "--bags"),
        ("digits --bags 1x", "argument --bags: '1x', which is no amount above 0"),
        ("digits --bags 1.5", "no whole number"),
        ("digts --bags 1e3", "found recipe 'digts'"),
        ("digits fleet.shard=2 --bags 1e3", "found key"),
        ("digits --bags 1e3 --positives 5e3", "found 2,500 negatives an epoch from a pool of 1,000"),
        ("digits --bags 1e3 --gpus 1 --cpus 2 --rate 1", "found --gpus and --cpus"),
        ("digits fleet.cpus_per_shard=2 --bags 1e3 --cpus 2", "found 2 scorers of 2 CPU each with --cpus 2"),
        ("digits --bags 1e3 --cpus 2 --nodes 3", "found 2 scorers on 3 nodes"),
        ("digits --bags 1e3 --bag-bytes 10 --rate 1", "found --bag-bytes 10; expected 1,024 or more"),
        ("digits --bags 1e3 --features 4 --rate 1", "found --features with digits"),
        ("audio-demo --bags 1e3 --bag-bytes 1e3 --rate 1", "found --bag-bytes or --features with audio-demo"),
        ("table --bags 1e3 --rate 1", "found a table that is not there"),
        ("table data.root=nowhere --bags 1e3 --rate 1", "found no bag table at"),
        ("cifar10 --bags 1e3 --bag-bytes 1e12 --rate 1", "expected at most 268,435,456"),
    ],
)
def test_bad_input_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words.split()]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert message in told.err


def test_gpus_need_a_rate_where_there_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["plan", "cifar10", "--bags", "1e8", "--gpus", "16"]) == 2
    assert "found GPUs to plan for on a machine without one; expected --rate" in capsys.readouterr().err


def test_an_epoch_trains_on_the_positives_that_it_draws() -> None:
    rounds = planned_rounds(override(recipe("digits"), ["sampling.positives=10"]), Asked(1_000, positives=50))
    assert (rounds.positives, rounds.picks, rounds.trained) == (50, 5, 15)
