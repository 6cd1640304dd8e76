"""The report of a sweep: what it compares, says and draws, as a page and as Markdown."""

import json
import re
from pathlib import Path

import pytest

from negsift.deploy.main import main
from negsift.trainer.report import results_markdown, write_report
from negsift.trainer.report.figure import LineStyle, arm_style
from negsift.trainer.report.number_texts import interval_text, p_text, signed
from negsift.trainer.report.sweep_plots import bar_plots, overview_plots, rank_plots
from negsift.trainer.report.verdicts import verdict
from negsift.trainer.results.groups import group_runs
from negsift.trainer.results.intervals import Interval
from negsift.trainer.results.sweep import SettingResults, SweepResults, sweep_results
from negsift.trainer.results.trials import Trial, runs_of
from tests.unit.trainer.report.test_report import change, make_run, parse
from tests.unit.trainer.results.made import made_trial


def results_of(*trials: Trial) -> SweepResults:
    return sweep_results(trials, "negsift sweep toy")


def setting_of(*trials: Trial) -> SettingResults:
    return results_of(*trials).settings[0]


def styles(results: SweepResults) -> dict[str, LineStyle]:
    return {group.label: arm_style(group) for group in group_runs(runs_of(results.trials))}


def trials(gap: float, seeds: int, **more: float) -> list[Trial]:
    by_name = {"random": 0.5, "badge": 0.5 + gap, **more}
    return [made_trial(name, ap, seed=seed) for name, ap in by_name.items() for seed in range(seeds)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two strategies and the full set, two targets, two seeds, two ratios; one run without an end."""
    path = tmp_path_factory.mktemp("sweep")
    for target in ("0", "1"):
        for seed in range(2):
            make_run(path / f"full-{target}-{seed}", "full", seed, data__target=target)
            for strategy in ("random", "badge"):
                for ratio in (1.0, 5.0):
                    name = f"{strategy}-{target}-{seed}-{ratio}"
                    make_run(path / name, strategy, seed, data__target=target, sampling__ratio=ratio)
    (path / "badge-0-1-5.0" / "summary.json").unlink()
    (path / "badge-0-1-5.0" / "stopped.json").write_text('{"epoch": 1, "reason": "hopeless"}')
    (path / "sweep.json").write_text('{"command": "negsift sweep toy --seeds 2"}')
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text()


def test_page_of_a_sweep_is_well_formed_and_stands_alone(page: str) -> None:
    parsed = parse(page)
    assert parsed.open == []
    assert all(reference.startswith(("data:", "#")) for reference in parsed.references)
    assert not re.search(r"https?:|url\(|@import|<script", page)


def test_page_names_the_command_and_what_is_missing(page: str) -> None:
    assert "<code>negsift sweep toy --seeds 2</code>" in page
    assert "1 trial stopped early, in no mean: badge-0-1-5.0 (hopeless, after epoch 1)." in page
    assert "19 finished, 1 stopped" in page.replace("1 stopped, 19 finished", "19 finished, 1 stopped")


def test_page_has_a_part_for_every_setting(page: str) -> None:
    assert re.findall(r"<h3>(sampling\.ratio=.*?)</h3>", page) == ["sampling.ratio=1.0", "sampling.ratio=5.0"]
    assert page.count("<summary>Tests in full</summary>") == 2


def test_a_sweep_over_ratios_is_no_reason_to_doubt_it(page: str) -> None:
    assert "differ in more than strategy and seed" not in page


def test_only_some_sets_of_bags_are_shown_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negsift.trainer.report.page.MOST_GROUPS", 1)
    for target in range(3):
        make_run(tmp_path / str(target), "random", data__target=str(target))
    assert "Curves and picks on the other 2 sets of bags are left out here" in write_report(tmp_path).read_text()


def test_hostile_names_are_escaped_in_a_sweep(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>$\\frac{$ \u732b \x07 &amp;"
    for strategy in ("random", evil):
        make_run(tmp_path / f"{len(strategy)}", strategy, data__name=evil, training__note=evil)
    make_run(tmp_path / "other", data__name="b", training__note=evil)
    (tmp_path / "sweep.json").write_text(json.dumps({"command": evil}))
    change(tmp_path / "6" / "config.json", seed=7)
    text = write_report(tmp_path).read_text()
    assert "<script" not in text
    assert parse(text).open == []


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (trials(0.1, 8), "badge is 0.100 above random (p = 0.0078 after Holm over 1)."),
        (
            trials(-0.1, 8, margin=0.5),
            "badge is 0.100 below random (p = 0.016 after Holm over 2). The other 1 strategy",
        ),
        (trials(0.1, 3), "3 pairs can't give a p below 0.250 after Holm. The highest is badge, +0.100"),
        (trials(0.0, 8), "No strategy can be told from random at 5 %, after Holm over 1."),
        (
            trials(0.0, 8, margin=0.9)[:-7],  # margin has one pair, badge eight
            "No strategy can be told from random at 5 %, after Holm over 2. The highest is margin",
        ),
        (trials(0.1, 1)[:1], "Nothing is compared with random here."),
    ],
)
def test_verdict_says_what_the_corrected_test_says(made: list[Trial], found: str) -> None:
    assert found in verdict(setting_of(*made))


def test_plots_are_drawn_of_what_there_is() -> None:
    whole = results_of(*trials(0.1, 3), *(made_trial("random", 0.4, ratio=5.0, seed=seed) for seed in range(3)))
    titles = [plot.title for plot in overview_plots(whole, styles(whole))]
    assert titles == ["Test AP by sampling.ratio", "Test AP by bags", "Test AP by seconds"]
    assert len(rank_plots(whole.settings[0], styles(whole))) == 2
    lone = results_of(made_trial("random", float("nan")))
    assert rank_plots(lone.settings[0], styles(lone)) == ()


def test_many_sets_of_bags_are_drawn_in_several_rows() -> None:
    results = results_of(*(made_trial(name, 0.5, str(target)) for name in ("random", "badge") for target in range(40)))
    plots = bar_plots(results.settings[0], styles(results))
    assert len(plots) == 5
    assert "Wins over random: badge 0 of 0 (p = —)." in plots[0].note


def test_markdown_is_the_main_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "**sampling.ratio=5.0**" in text
    assert "Command: `negsift sweep toy --seeds 2`" in text
    tables = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert {len(cells) for cells in tables} == {10}
    assert not (folder / "summary.json").exists()


def test_markdown_holds_the_statistics() -> None:
    text = results_markdown(results_of(*trials(0.1, 8)))
    line = next(line for line in text.splitlines() if line.startswith("| `badge`"))
    assert (
        "| 0.600\u00a0±\u00a00.000 | +0.100\u00a0±\u00a00.000 | +0.100 to +0.100 | 0.0078 (≥ 0.0078) | 1 of 1 | —"
        in line
    )


def test_numbers_are_short() -> None:
    assert [p_text(p) for p in (0.5, 0.0312, 0.00781, 1e-6, float("nan"))] == [
        "0.500",
        "0.031",
        "0.0078",
        "<0.0001",
        "—",
    ]
    assert (signed(-0.0123), signed(0.5, 1), signed(-1e-9)) == ("−0.012", "+0.5", "+0.000")
    assert interval_text(Interval(-0.01, 0.02)) == "−0.010 to +0.020"
