"""The report as a page: well-formed, safe, alone, and with what its runs have; its tables as Markdown."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from negsift.common.data.catalogue import load_split
from negsift.deploy.main import main
from negsift.trainer.report import write_report
from negsift.trainer.results.runs import read_runs
from tests.unit.clips import data, write_folder
from tests.unit.trainer.report.report_runs import TEST_AP, K, change, lookup, make_run, make_sweep, refuse, summary_of


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of three strategies with three seeds each."""
    return text_of(make_sweep(tmp_path_factory.mktemp("sweep")))


VOID = {"meta", "img", "br", "link", "input", "hr"}


def text_of(folder: Path) -> str:
    return write_report(folder, lookup).read_text()


@pytest.fixture(scope="module")
def lone_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run with instances that could not be decoded."""
    run = make_run(tmp_path_factory.mktemp("lone"))
    change(run / "summary.json", dropped_instances=[f"{number}.png" for number in range(9)])
    return run


@pytest.fixture(scope="module")
def lone(lone_run: Path) -> str:
    """Its page."""
    return text_of(lone_run)


class Nesting(HTMLParser):
    """Fails on a tag that is closed out of turn; collects what `src`, `href` and the like refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name.split(":")[-1] in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parse(text: str) -> Nesting:
    parser = Nesting()
    parser.feed(text)
    parser.close()
    return parser


@pytest.mark.parametrize("name", ["sweep", "page"])
def test_page_is_well_formed_and_refers_to_nothing_outside(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    parsed = parse(text)
    assert parsed.open == []
    assert all(reference.startswith(("data:", "#")) for reference in parsed.references)
    assert not re.search(r"https?:|url\(|@import|<script", text)


def test_several_sets_of_bags_make_a_well_formed_page(tmp_path: Path) -> None:
    for target in ("0", "1"):
        make_run(tmp_path / target, data__target=target)
    text = text_of(tmp_path)
    assert parse(text).open == []
    assert "Test AP on each set of bags" in text


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>$\\frac{$ \u732b \x07 &amp;"
    make_run(tmp_path / "one", evil, data__name=evil, training__note=evil)
    change(make_run(tmp_path / "two", evil, 1) / "summary.json", dropped_instances=[evil], versions={evil: evil})
    text = text_of(tmp_path)
    assert "<script" not in text
    assert parse(text).open == []


def test_suspects_of_hostile_names_are_escaped(tmp_path: Path) -> None:
    evil, run = "<script>alert('x')</script>,\n=1+1", make_run(tmp_path)
    for path in (run / "selections").iterdir():
        table = {"index": [3], "bag_id": [evil], "score": [0.5], "margin": [1.0]}
        pq.write_table(pa.table(table), path)
    text = text_of(tmp_path)
    assert "1 bag of the pool looked like a positive" in text
    assert "<script" not in text
    assert parse(text).open == []


def test_single_run_has_a_report_of_its_own(lone: str) -> None:
    assert "badge has a test AP of 0.800 (one run" in lone
    assert "What was selected" in lone


def test_unfinished_run_is_shown_as_such_with_what_it_has(tmp_path: Path) -> None:
    (make_run(tmp_path) / "summary.json").unlink()
    text = text_of(tmp_path)
    assert "unfinished after epoch 2" in text
    assert "best validation AP so far is 0.700" in text


def test_run_that_has_only_begun_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "begun")
    for path in (run / "summary.json", run / "metrics.jsonl", *(run / "selections").iterdir()):
        path.unlink()
    assert "unfinished before the first epoch" in text_of(tmp_path)


def test_undecodable_instances_are_listed_and_folded(lone: str) -> None:
    assert "<li>8.png</li>" in lone
    assert "<summary>4 more</summary>" in lone


def test_reason_for_missing_pictures_is_on_the_page(tmp_path: Path) -> None:
    assert "No pictures: found no such folder" in write_report(make_run(tmp_path), refuse).read_text()


def test_report_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    make_run(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "report.html").write_text("old")
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert {path.name for path in tmp_path.iterdir()} == before | {"report.html"}


def test_same_folder_gives_the_same_page(lone_run: Path, lone: str) -> None:
    assert lone == text_of(lone_run)


def test_means_are_spoken_of_only_where_there_are_several_runs(lone: str, sweep: str) -> None:
    assert not re.search("mean over runs|over runs", lone, re.IGNORECASE)
    assert "mean over runs" in sweep


def test_the_machine_is_listed_apart_from_the_versions(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", seed=1)
    summary = summary_of(0.8)
    change(other / "summary.json", versions=summary["versions"] | {"machine": "8 cores"})
    text = text_of(tmp_path)
    assert "<dt>machine</dt><dd>2 cores / 8 cores</dd>" in text
    assert "different versions" not in text
    assert read_runs(run)[0].summary.machine == "2 cores"


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


def test_table_holds_mean_and_standard_error_computed_naively(sweep: str) -> None:
    for values in TEST_AP.values():
        mean = sum(values) / 3
        error = math.sqrt(sum((value - mean) ** 2 for value in values) / 2) / math.sqrt(3)
        assert f"{mean:.3f}\u00a0±\u00a0{error:.3f}</td>" in sweep


def test_the_report_shows_and_plays_the_chosen_clips(tmp_path: Path) -> None:
    split = load_split(data(write_folder(tmp_path / "audioset")))
    run, index = make_run(tmp_path / "run", data__name="audioset"), np.arange(2, 2 + K)
    names = split.pool.bag_id(index)
    table = pa.table({"index": index, "bag_id": names, "score": np.linspace(1, 0, K)})
    pq.write_table(table, run / "selections" / "epoch=0002.parquet")
    page = write_report(run, lambda _: split).read_text()
    assert page.count("<audio controls") == page.count("data:audio/mpeg;base64,") == K
    assert all(name in page for name in names)
    assert page.count("Low tone") >= 1


def test_markdown_is_the_main_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "**sampling.ratio=5.0**" in text
    assert "Command: `negsift sweep toy --seeds 2`" in text
    tables = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert {len(cells) for cells in tables} == {10}
    assert not (folder / "summary.json").exists()
