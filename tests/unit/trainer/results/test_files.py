"""A sweep's folder: what is read from it, and what is written there."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from negsift.common.errors import BadData, BadInput
from negsift.trainer.results.files import write_results
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.sweep import read_results
from tests.end_to_end.bad_inputs.privileges import without_privileges
from tests.unit.trainer.results.made import write_trial


def write_sweep(folder: Path) -> Path:
    for name, ap in {"random": 0.5, "badge": 0.75}.items():
        for seed in range(2):
            write_trial(folder / f"{name}-{seed}", name, ap, seed)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(folder / "results.parquet").to_pylist()
    return table


def test_a_row_a_trial_holds_its_summary_and_its_configuration(tmp_path: Path) -> None:
    write_results(write_sweep(tmp_path))
    first = rows(tmp_path)[0]
    assert (first["trial"], first["state"], first["test.ap"], first["bags.trained"]) == (
        "badge-0",
        "finished",
        0.75,
        30,
    )
    assert (first["config.strategy.name"], first["config.seed"], first["config.sampling.ratio"]) == ("badge", 0, 1.0)
    assert first["dropped_instances"] == "[]"


def test_trials_without_a_summary_have_a_row_with_their_state(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    (write_trial(tmp_path / "a", "badge", None, 2) / "stopped.json").write_text('{"epoch": 3, "reason": "hopeless"}')
    (write_trial(tmp_path / "b", "badge", None, 3) / "failed.json").write_text('{"error": "no folder"}')
    write_trial(tmp_path / "c", "badge", None, 4)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "failed.json").write_text('{"error": "no data"}')
    (write_trial(tmp_path / "e", "badge", 0.5, 5) / "config.json").write_text("{")
    assert "1 trial damaged, in no mean: e (found " in " ".join(notes_on(write_results(tmp_path)))
    found = {row["trial"]: (row["state"], row["reason"]) for row in rows(tmp_path)}
    assert found["e"][0] == "damaged"
    assert "config.json" in found["e"][1]
    assert found["a"] == ("stopped", "hopeless, after epoch 3")
    assert found["b"] == ("failed", "no folder")
    assert found["c"] == ("unfinished", "")
    assert found["d"] == ("failed", "no data")


def test_a_summary_counts_more_than_what_happened_before_it(tmp_path: Path) -> None:
    (write_trial(tmp_path / "a", "badge", 0.5) / "failed.json").write_text('{"error": "no folder"}')
    assert read_results(tmp_path).states() == {"finished": 1}


def test_columns_of_mixed_kinds_become_numbers_or_text(tmp_path: Path) -> None:
    for seed, value in enumerate((1, 2.5, None)):
        change(write_trial(tmp_path / str(seed), "badge", 0.5, seed), number=value, mixed=value or "none", big=2**70)
    write_results(tmp_path)
    assert [row["number"] for row in rows(tmp_path)] == [1.0, 2.5, None]
    assert [row["mixed"] for row in rows(tmp_path)] == ["1", "2.5", "none"]
    assert rows(tmp_path)[0]["big"] == 2.0**70


def change(path: Path, **values: object) -> None:
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps(summary | values))


def test_what_is_not_a_number_is_null_in_the_summary(tmp_path: Path) -> None:
    write_trial(tmp_path / "a", "random", math.nan)
    write_results(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["settings"][0]["strategies"][0]["outcomes"]["test.ap"]["mean"]["mean"] is None


def test_the_summary_says_which_command_made_it(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    assert read_results(tmp_path).command == f"negsift report {tmp_path}"
    (tmp_path / "sweep.json").write_text('{"command": "negsift sweep toy"}')
    write_results(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["command"] == "negsift sweep toy"


def test_the_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    def written() -> list[bytes]:
        write_results(tmp_path)
        return [(tmp_path / name).read_bytes() for name in ("results.parquet", "summary.json")]

    write_sweep(tmp_path)
    assert written() == written()


def test_a_single_run_keeps_its_own_summary(tmp_path: Path) -> None:
    run = write_trial(tmp_path / "run", "badge", 0.5)
    before = (run / "summary.json").read_bytes()
    with pytest.raises(BadInput, match="the folder of one run"):
        write_results(run)
    assert (run / "summary.json").read_bytes() == before


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_folders_that_cannot_be_read_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    trials = len(read_results(write_sweep(tmp_path)).trials)
    locked = tmp_path / "a" / "locked"
    (locked / "b").mkdir(parents=True)
    locked.chmod(mode)
    with without_privileges(wanted=True):
        assert len(read_results(tmp_path).trials) == trials
        assert [record.getMessage() for record in caplog.records] == [
            f"folders: 1 that can't be read left out, the first: {locked}"
        ]
        with pytest.raises(BadData, match=r"contains no run \(folders: 1 that can't be read"):
            read_results(tmp_path / "a")
    locked.chmod(0o700)


def test_nothing_is_half_written(tmp_path: Path) -> None:
    (write_sweep(tmp_path) / "results.parquet").mkdir()
    with pytest.raises(BadInput, match=r"results\.parquet not writable"):
        write_results(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("sweep.json", '{"command": 3}', r"sweep\.json: command=3.*remove that file alone$"),
        ("sweep.json", "{", r"sweep\.json, line 1.*remove that file alone$"),
        ("badge-0/failed.json", "", r"failed\.json"),
        ("badge-0/stopped.json", "[]", r"stopped\.json"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, found: str) -> None:
    write_sweep(tmp_path)
    (tmp_path / "badge-0" / "summary.json").unlink()
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData, match=found):
        read_results(tmp_path)
