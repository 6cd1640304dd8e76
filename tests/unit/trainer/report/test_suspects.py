"""Suspects of runs' folders against a loop over epochs, and what the page and the CSV file have of them."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from negsift.common.arrays import Floats
from negsift.common.errors import BadData
from negsift.trainer.report import write_report
from negsift.trainer.report.suspects import LISTED, Suspect, suspects_csv, suspects_of
from negsift.trainer.results.runs import read_runs
from tests.unit.trainer.report.report_runs import EPOCHS, POOL, lookup, make_run, pool_of

NAN = float("nan")


def record(run: Path, margins: dict[int, list[float]]) -> None:
    """Give each epoch's selection the margins (POOL,) of all bags; a bag with NaN was not trained on."""
    for epoch in range(EPOCHS):
        index, margin = np.arange(POOL), np.array([margins.get(bag, [-1.0] * EPOCHS)[epoch] for bag in range(POOL)])
        table = {"index": index, "bag_id": pool_of().bag_id(index), "score": np.zeros(POOL), "margin": margin}
        pq.write_table(pa.table(table), run / "selections" / f"epoch={epoch:04d}.parquet")


MARGIN = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0, NAN])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("suspects"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(least=st.integers(1, 3), margins=st.lists(st.lists(MARGIN, min_size=3, max_size=3), min_size=4, max_size=4))
def test_suspects_are_those_of_a_loop(
    run: Path, monkeypatch: pytest.MonkeyPatch, least: int, margins: list[list[float]]
) -> None:
    monkeypatch.setattr("negsift.trainer.report.suspects.LEAST", least)
    record(run, dict(enumerate(margins)))
    expected = {}
    for bag, values in enumerate(margins):
        seen = [margin for margin in values if margin == margin]
        positive = sum(margin > 0 for margin in seen)
        if positive >= least and positive * 2 >= len(seen):
            expected[bag] = (len(seen), positive, sum(seen) / len(seen))
    (reported,) = read_runs(run)
    found = suspects_of(reported)
    assert found is not None
    assert {one.index: (one.epochs, one.positive) for one in found} == {bag: row[:2] for bag, row in expected.items()}
    assert [one.margin for one in found] == pytest.approx([expected[one.index][2] for one in found])
    assert [one.bag_id for one in found] == pool_of().bag_id(np.array([one.index for one in found], dtype=np.int64))
    assert [one.positive for one in found] == sorted((row[1] for row in expected.values()), reverse=True)


def folder_of(path: Path, *suspects: range) -> Path:
    """A run for each range of suspects."""
    for seed, bags in enumerate(suspects):
        record(make_run(path / f"seed{seed}", seed=seed), {bag: [1.0, 2.0, 3.0 + bag] for bag in bags})
    return path


def test_page_and_csv_have_the_suspects_of_all_runs(tmp_path: Path) -> None:
    page = write_report(folder_of(tmp_path, range(4, 6), range(5, 7)), lookup).read_text()
    rows = list(csv.reader((tmp_path / "suspects.csv").read_text().splitlines()))
    assert rows[0] == ["run", "bag_id", "index", "epochs", "positive_epochs", "mean_margin"]
    assert [(row[0], int(row[2])) for row in rows[1:]] == [("seed0", 5), ("seed0", 4), ("seed1", 6), ("seed1", 5)]
    section = page.partition("Suspected false negatives</h2>")[2].partition("<h2>")[0]
    assert "3 bags of the pool looked like positives" in section
    assert section.index(pool_of().bag_id(np.array([5]))[0]) < section.index(pool_of().bag_id(np.array([4]))[0])
    assert "<td>2 of 2</td><td>6 of 6</td>" in section
    assert section.count("data:image/png") == 3


def test_a_long_list_is_cut_on_the_page_alone(tmp_path: Path) -> None:
    page = write_report(folder_of(tmp_path, range(LISTED + 2)), lookup).read_text()
    assert "these are the first" in page
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == LISTED + 3


def test_no_suspect_is_said_and_replaces_an_earlier_list(tmp_path: Path) -> None:
    write_report(folder_of(tmp_path, range(3)), lookup)
    record(tmp_path / "seed0", {})
    assert "No bag of the pool looked like a positive" in write_report(tmp_path, lookup).read_text()
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == 1


def test_runs_without_margins_have_no_list(tmp_path: Path) -> None:
    assert "Suspected" not in write_report(make_run(tmp_path), lookup).read_text()
    assert not (tmp_path / "suspects.csv").exists()


@pytest.mark.parametrize("margin", [np.arange(POOL), np.array(["x"] * POOL)])
def test_margins_of_another_type_are_reported(tmp_path: Path, margin: Floats) -> None:
    run = folder_of(tmp_path, range(3)) / "seed0"
    path = run / "selections" / "epoch=0001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(3, "margin", pa.array(margin)), path)
    with pytest.raises(BadData, match="epoch=0001.parquet: margin of type"):
        suspects_of(read_runs(run)[0])


def test_names_are_quoted_as_csv() -> None:
    text = suspects_csv([Suspect("a,b", 'say "x"\n', 3, 4, 3, 0.5)]).decode()
    assert list(csv.reader(io.StringIO(text)))[1] == ["a,b", 'say "x"\n', "3", "4", "3", "0.5"]
