"""The report: its numbers, its safety, and its notes on missing or broken runs."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.data.split import Split
from negsift.common.errors import BadData
from negsift.trainer.report import ReportedRun, write_report
from negsift.trainer.report.figure import LineStyle, draw_line, panel, to_svg
from negsift.trainer.report.pictures import show_bags
from negsift.trainer.report.plots import curve
from negsift.trainer.report.remarks import facts, headline, problem_rows, settings, warnings
from negsift.trainer.report.selections import picks_by_epoch
from negsift.trainer.report.table import group_rows, overview_rows
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.groups import compare
from negsift.trainer.results.runs import read_runs
from tests.unit.trainer.report.report_runs import (
    POOL,
    TEST_AP,
    K,
    change,
    choose,
    epoch_line,
    lookup,
    make_run,
    make_sweep,
    pool_of,
    refuse,
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three strategies with three seeds each."""
    return make_sweep(tmp_path_factory.mktemp("sweep"))


def test_gain_on_random_is_paired_by_seed(sweep: Path) -> None:
    (comparison,) = compare(read_runs(sweep))
    badge = comparison.groups[0]
    gains = [mine - theirs for mine, theirs in zip(TEST_AP["badge"], TEST_AP["random"], strict=True)]
    assert comparison.gain(badge).mean == pytest.approx(np.mean(gains))
    assert comparison.gain(badge).error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(3))


def test_one_value_has_no_error_and_none_has_no_mean() -> None:
    assert estimate([0.5]).text(2) == "0.50"
    assert estimate([math.nan]).text(2) == "—"
    assert estimate([0.25, math.nan, 0.75]).text(2) == "0.50\u00a0±\u00a00.25"


def test_numbers_on_an_axis_are_not_cut() -> None:
    figure, axes = panel("x", "y")
    draw_line(axes, np.array([0.0, 1.0]), np.array([0.8375, 0.8625]), LineStyle("c1"))
    axes.set_yticks([0.8375, -0.000125])
    svg = to_svg(figure, "ticks")
    assert ">0.8375<" in svg
    assert ">−0.000125<" in svg


def test_figures_take_their_colours_from_the_page() -> None:
    figure, axes = panel("x", "y")
    draw_line(axes, np.array([0.0, 1.0]), np.array([0.0, 1.0]), LineStyle("c1"))
    assert "var(--c1)" in to_svg(figure, "line")
    assert "#" not in to_svg(figure, "line")


def test_best_of_each_ranked_column_is_marked(sweep: Path) -> None:
    (comparison,) = compare(read_runs(sweep))
    rows = group_rows(comparison)
    assert [row.label for row in rows] == ["badge", "margin", "random"]
    assert [row.cells[0].best for row in rows] == [True, False, False]


def test_headline_names_the_best_and_random(sweep: Path) -> None:
    text = headline(compare(read_runs(sweep)))
    assert "badge has the highest test AP, 0.810\u00a0±\u00a00.015" in text
    assert "random has 0.720\u00a0±\u00a00.012" in text


def test_headline_admits_a_gain_within_its_error(tmp_path: Path) -> None:
    runs = read_runs(make_sweep(tmp_path, ["random", "margin"]))
    assert "these runs do not distinguish them" in headline(compare(runs))


def test_curve_is_the_mean_over_runs_that_reached_the_epoch(tmp_path: Path) -> None:
    for seed, last in ((0, 0.9), (1, 0.7)):
        path = make_run(tmp_path / str(seed), seed=seed)
        (path / "metrics.jsonl").write_text(json.dumps(epoch_line(0, last)) + "\n")
    line = curve(read_runs(tmp_path), lambda epoch: epoch.values["val.ap"])
    assert line.mean == pytest.approx([0.8])
    assert line.error == pytest.approx([0.1])


def test_an_epoch_without_a_selection_counts_the_last_again(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    (path / "selections" / "epoch=0001.parquet").unlink()
    picks = list(picks_by_epoch(read_runs(path)[0]))
    assert [list(index) for index in picks] == [[*range(6)], [*range(6)], [*range(2, 8)]]


def test_runs_that_differ_in_a_setting_are_not_averaged(tmp_path: Path) -> None:
    for rate in (0.1, 0.2):
        make_run(tmp_path / str(rate), training__lr=rate)
    runs = read_runs(tmp_path)
    labels = [group.label for group in compare(runs)[0].groups]
    assert labels == ["badge · training.lr=0.1", "badge · training.lr=0.2"]
    assert warnings(runs) == ("The runs differ in more than strategy and seed: training.lr.",)
    assert settings(runs).rows == (("0.1", ("0.1",)), ("0.2", ("0.2",)))


def test_targets_are_compared_apart_and_together(tmp_path: Path) -> None:
    for target in ("0", "1"):
        for strategy in TEST_AP:
            make_run(tmp_path / target / strategy, strategy, data__target=target)
    comparisons = compare(read_runs(tmp_path))
    assert [comparison.title for comparison in comparisons] == ["target 0", "target 1"]
    assert overview_rows(comparisons)[0].cells[0].text == "0.800\u00a0±\u00a00.000"
    assert "badge has the highest mean test AP, 0.800, and is the best in 2" in headline(comparisons)


def test_strategies_that_met_other_bags_are_not_ranked_together(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "badge", data__name="images", data__root="there")
    make_run(tmp_path / "b", "random", data__name="digits", data__root=None)
    comparisons = compare(read_runs(tmp_path))
    assert [comparison.title for comparison in comparisons] == ["name images, root there", "name digits"]
    assert "No strategy has results on all 2 sets of bags" in headline(comparisons)


def test_runs_are_found_three_levels_below_and_not_inside_runs(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a" / "b" / "c")
    make_run(run / "selections" / "copy")
    assert [run.name for run in read_runs(tmp_path)] == ["a/b/c"]


def test_repeated_runs_are_reported(tmp_path: Path) -> None:
    for name in ("one", "copy"):
        make_run(tmp_path / name)
    assert "seed included: 1." in warnings(read_runs(tmp_path))[0]


def test_metrics_that_are_null_are_reported_and_left_out(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    (path / "metrics.jsonl").write_text(json.dumps(epoch_line(0, None)) + "\n" + json.dumps(epoch_line(1, 0.5)) + "\n")
    assert "Epochs without a validation AP (undefined or not finite): 1." in warnings(read_runs(tmp_path))[0]


def test_faults_of_a_run_are_listed(tmp_path: Path) -> None:
    line = epoch_line(0, 0.5) | {"dropped": 3, "filled": 4, "retries": 5}
    (make_run(tmp_path / "faulty") / "metrics.jsonl").write_text(json.dumps(line))
    assert problem_rows(read_runs(tmp_path)) == (("faulty", ("3", "4", "5", "1 epoch")),)


def test_pictures_are_of_the_best_and_last_ranked_bags(tmp_path: Path) -> None:
    make_run(tmp_path)
    choose(tmp_path, 2, np.arange(POOL)[::-1].copy())
    best, last = show_bags(compare(read_runs(tmp_path))[0], lookup).rows
    assert [bag.bag_id[-2:] for bag in best.bags] == ["19", "18", "17", "16", "15", "14"]
    assert [bag.bag_id[-2:] for bag in last.bags] == ["05", "04", "03", "02", "01", "00"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (2, 8, 8), (3, 300, 200)])
def test_instances_of_any_image_shape_are_pictured(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pool = pool_of(shape)
    pictures = show_bags(compare(read_runs(make_run(tmp_path)))[0], lambda run: Split(pool, pool, pool, pool))
    assert all(bag.source.startswith("data:image/png;base64,") for bag in pictures.rows[0].bags)


def test_selection_made_without_scores_is_not_called_a_ranking(tmp_path: Path) -> None:
    line = epoch_line(0, 0.5) | {"scored": 0}
    (make_run(tmp_path, "random") / "metrics.jsonl").write_text(json.dumps(line))
    (row,) = show_bags(compare(read_runs(tmp_path))[0], lookup).rows
    assert row.caption.startswith("picked without scores")


@pytest.mark.parametrize(
    ("config", "lines", "text"),
    [
        ({}, {}, ""),
        ({"sampling__candidates": 8}, {"considered": 12, "scored": 12}, "12 of 20 bags considered in a round"),
        (
            {"sampling__rescore": 4, "fleet__scoring": {"precision": "bfloat16", "channels_last": True}},
            {"scored": 8, "oldest": 3},
            "8 of 20 bags scored again in a round, scores up to 3 epochs old, bfloat16, channels last",
        ),
        ({"fleet__scoring": {"frozen": True}}, {}, "frozen"),
    ],
)
def test_cheaper_scoring_is_reported(tmp_path: Path, config: dict[str, Any], lines: dict[str, int], text: str) -> None:
    path = make_run(tmp_path / "a", **config)
    lines_written = [epoch_line(epoch, 0.5) | (lines if epoch else {}) for epoch in range(3)]
    (path / "metrics.jsonl").write_text(
        "".join(json.dumps(line | {"fresh": True}) + "\n" for line in lines_written[1:])
    )
    assert dict(facts(read_runs(tmp_path))).get("scoring", "") == text
    make_run(tmp_path / "b", seed=1)
    both = dict(facts(read_runs(tmp_path))).get("scoring", "")
    assert both == (f"{text} (1 of 2 runs)" if text else "")


def test_what_guards_left_out_is_averaged_over_their_rounds(tmp_path: Path) -> None:
    guarded = [{}, {"rest": 4, "per_source": 0}, {"rest": 5, "per_source": 1}]
    lines = [epoch_line(epoch, 0.5) | {"guarded": counts} for epoch, counts in enumerate(guarded)]
    path = make_run(tmp_path / "a")
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    make_run(tmp_path / "b", seed=1)
    assert dict(facts(read_runs(tmp_path)))["guards"] == "left out in a round: rest 4.5, per source 0.5"
    change(path / "summary.json", bags={"positive": K, "pool": POOL, "k": K, "descendants": 1234})
    assert dict(facts(read_runs(tmp_path)))["bags"].endswith("per epoch; 1,234 of the target's descendants left out")


def other_bags(run: ReportedRun) -> Split:
    return dataclasses.replace(lookup(run), pool=pool_of(name="train-class1"))


def too_few_bags(run: ReportedRun) -> Split:
    return dataclasses.replace(lookup(run), pool=pool_of().subset(np.arange(2)))


@pytest.mark.parametrize(
    ("bags", "reason"),
    [
        (None, "without access to the data"),
        (refuse, "no such folder"),
        (other_bags, "other bags in the data"),
        (too_few_bags, "other bags in the data"),
    ],
)
def test_missing_pictures_have_a_reason(tmp_path: Path, bags: Any, reason: str) -> None:
    pictures = show_bags(compare(read_runs(make_run(tmp_path)))[0], bags)
    assert not pictures.rows
    assert re.match(f"No pictures: .*{reason}", pictures.reason)


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("metrics.jsonl", '{"epoch": 0}\n{"epo', "metrics.jsonl, line 2"),
        ("metrics.jsonl", '{"epoch": 0}\n\n{"epoch": 1, "loss": "low"}', "metrics.jsonl, line 3"),
        ("metrics.jsonl", '{"epoch": null}', "metrics.jsonl, line 1"),
        ("metrics.jsonl", '{"epoch": 0, "val": 3}', "metrics.jsonl, line 1"),
        ("config.json", '{"seed": 0,\n"strategy": }', "config.json, line 2"),
        ("config.json", "[]", "config.json, line 1"),
        ("config.json", '{"seed": 0}', "config.json, line 1: no strategy.name"),
        ("summary.json", '{\n"test": {"ap": 1}', "summary.json, line 2"),
        ("summary.json", '{"dropped_instances": 3}', "summary.json, line 1"),
        ("selections/epoch=0000.parquet", "PAR", "epoch=0000.parquet"),
    ],
)
def test_corrupt_file_is_named_with_its_line(tmp_path: Path, name: str, content: str, place: str) -> None:
    (make_run(tmp_path) / name).write_text(content)
    with pytest.raises(BadData, match=re.escape(place)):
        write_report(tmp_path)


def test_bytes_that_are_not_text_are_bad_data(tmp_path: Path) -> None:
    (make_run(tmp_path) / "metrics.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadData, match=r"metrics\.jsonl"):
        write_report(tmp_path)


@pytest.mark.parametrize(("make", "found"), [(True, "contains no run"), (False, "is no folder")])
def test_folder_without_runs_is_bad_data(tmp_path: Path, make: bool, found: str) -> None:
    folder = tmp_path / "empty"
    if make:
        folder.mkdir()
    with pytest.raises(BadData, match=found):
        write_report(folder)


def test_an_unwritable_report_leaves_no_partial_file(tmp_path: Path) -> None:
    (make_run(tmp_path) / "report.html").mkdir()
    with pytest.raises(BadData, match="report.html not writable"):
        write_report(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
