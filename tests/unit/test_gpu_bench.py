"""The benchmark for a GPU, without one: its smallest step, and steps that fail, take too long or are not begun."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench.gpu import STEPS, rows_of, write_page
from tests.bench.gpu_page import page
from tests.bench.gpu_runner import Outcome, Step, run_steps

PROGRAMS = {
    "whole": 'rows.write(\'["1", "2"]\\n["3", "4"]\\n\')',
    "failing": "rows.write('[\"5\", \"6\"]\\n'); rows.flush(); raise SystemExit('no | such device')",
    "endless": 'rows.write(\'["7", "8"]\\n\'); rows.flush(); import sys; sys.stdin.read()',
}


def step(name: str, limit_s: float = 60.0) -> Step:
    return Step(name, f"The {name} one", ("first", "second"), limit_s)


def command(of: Step, rows: Path) -> Sequence[str]:
    return [sys.executable, "-c", f"rows = open({str(rows)!r}, 'a'); {PROGRAMS[of.name]}"]


def test_what_a_step_wrote_stays_whatever_becomes_of_it(tmp_path: Path) -> None:
    steps = [step("whole"), step("failing"), step("endless", 5.0)]
    *_, outcomes = run_steps(steps, command, tmp_path, 600.0)
    assert [outcome.rows for outcome in outcomes] == [[["1", "2"], ["3", "4"]], [["5", "6"]], [["7", "8"]]]
    assert [outcome.fault for outcome in outcomes] == [
        "", "failed (1): no / such device", "stopped at its limit of 5 s"
    ]  # fmt: skip


def test_steps_for_which_no_time_is_left_are_not_begun(tmp_path: Path) -> None:
    *_, outcomes = run_steps([step("whole"), step("failing")], command, tmp_path, 0.5)
    assert {outcome.fault for outcome in outcomes} == {"not begun: the time for all steps was over"}
    assert not list(tmp_path.iterdir())


def test_the_page_has_a_table_a_step_and_says_what_went_wrong(tmp_path: Path) -> None:
    done, failed = Outcome(step("whole"), [["1", "2"]], "", 3.0), Outcome(step("failing"), [], "failed (1): x", 1.0)
    text = page([done, failed, Outcome(step("endless"))], "a device", 480.0, pretended=False)
    assert "| first | second |\n| --- | --- |\n| 1 | 2 |\n\nStep `whole`: 3 s." in text
    assert "Step `failing`: failed (1): x." in text
    assert "Step `endless`: not begun yet." in text
    assert "pretend" not in text
    write_page([done], True, tmp_path / "page.md")
    assert "Its figures mean nothing" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("name", ["seeding", "linear"])
def test_a_step_has_a_row_for_each_line_of_its_table(name: str) -> None:
    (columns,) = [each.columns for each in STEPS if each.name == name]
    rows = list(rows_of(name, True, None))
    assert len(rows) >= 2
    assert {len(row) for row in rows} == {len(columns)}
    assert all(row[-1] == "yes" for row in rows) or name == "linear"
    assert not [row for row in rows if "no memory" in " ".join(row)]


def test_all_steps_fit_in_their_time_on_a_gpu() -> None:
    assert sum(each.limit_s for each in STEPS) <= 600  # few reach their limits; what is left then is not begun


def test_a_step_that_trains_says_what_it_lacks() -> None:
    with pytest.raises(SystemExit, match="give --data FOLDER"):
        rows_of("cell", True, None)
