"""What a run would do, told before."""

from pathlib import Path

import pytest

from negsift.deploy.dry_run import placement
from negsift.deploy.main import main

EACH = (1.0, 1.0)
FREE = {"head aaaa": {"CPU": 4.0}, "node bbbb": {"CPU": 2.0, "GPU": 4.0}}


def test_nodes_are_listed_with_who_goes_there() -> None:
    lines = list(placement(FREE, (4, (0.0, 0.5)), (2, EACH)))
    assert lines[0] == "4 scorers of 0 CPU and 0.5 GPU; 2 trainer workers of 1 CPU and 1 GPU"
    assert [line.split() for line in lines[2:4]] == [
        ["head", "aaaa", "4", "0", "0", "0"],
        ["node", "bbbb", "2", "4", "4", "2"],
    ]
    assert lines[-1] == "all of them have room"


def test_what_has_no_room_is_counted() -> None:
    assert list(placement(FREE, (6, (0.25, 1.0)), (2, EACH)))[-1] == "no room now for 6 scorers: they would wait"
    assert list(placement(FREE, (1, (0.0, 1.0)), (5, EACH)))[-1] == "no room now for 3 workers: they would wait"


def test_amounts_that_fit_exactly_have_room() -> None:
    free = {"head aaaa": {"CPU": 4.0, "GPU": 8.0}}
    assert list(placement(free, (5, (0.2, 1.0)), (3, EACH)))[-1] == "all of them have room"


def test_two_parts_that_are_more_than_a_gpu_have_no_room_on_it() -> None:
    free = {"head aaaa": {"CPU": 32.0, "GPU": 7.0}}
    assert list(placement(free, (10, (0.5, 0.7)), (0, EACH)))[-1] == "no room now for 3 scorers: they would wait"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("train cifar10", "no data.root"), ("train table", "no data.root"), ("train images data.root=nowhere", "nowhere"),
        ("train digits data.density=range:5-2", "label density"), ("train digits data.target=zz", "data.target 'zz'"),
        ("sweep digits --over data.target=1,zz", "data.target 'zz'"),
    ],
)  # fmt: skip
def test_a_dry_run_refuses_what_can_not_run(
    words: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    assert found in capsys.readouterr().err


def test_a_dry_run_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "digits", "fleet.shards=3", "fleet.kind=local", "--out", str(tmp_path / "run"), "--dry-run"])
        == 0
    )
    assert capsys.readouterr().out == f"{tmp_path}/run: a new run\nthis process trains, and scores in 3 shards\n"
    assert not (tmp_path / "run").exists()
