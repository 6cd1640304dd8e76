"""The report of a sweep: what it compares, says and draws, as a page and as Markdown."""

import pytest

from negsift.trainer.report import results_markdown
from negsift.trainer.report.figure import LineStyle, arm_style
from negsift.trainer.report.number_texts import interval_text, p_text, signed
from negsift.trainer.report.sweep_plots import bar_plots, overview_plots, rank_plots
from negsift.trainer.report.verdicts import verdict
from negsift.trainer.results.groups import group_runs
from negsift.trainer.results.intervals import Interval
from negsift.trainer.results.sweep import SettingResults, SweepResults, sweep_results
from negsift.trainer.results.trials import Trial, runs_of
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


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (trials(0.1, 8), "badge is 0.100 above random (p = 0.0078 after Holm over 1)."),
        (trials(-0.1, 8, margin=0.5), "badge is 0.100 below random (p = 0.016 after Holm over 2). The other strategy"),
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
