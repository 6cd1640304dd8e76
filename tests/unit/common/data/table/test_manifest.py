"""A manifest names files of its own folder and says what can be, or nothing is opened."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from negsift.common.data.table.bags import open_pool
from negsift.common.data.table.location import Location
from negsift.common.errors import BadData
from negsift.deploy.main import main
from tests.unit.tables import as_table, random_bags, third_positive, write

BAGS, LABELS = random_bags(30, seed=3), third_positive(30)
NAMES: list[Any] = [
    "/etc/passwd", "../other.parquet", "..", ".", "", "a/b.parquet", "a\\b.parquet", "..\\b.parquet", "C:b.parquet",
    "file:///etc/passwd", "s3://bucket/key", ".hidden", "a\n.parquet", "a\x1b[2J.parquet", "a\0", "\ud800", "a" * 256, 7, None,
    ["a"],
]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write(tmp_path / "pool", as_table(BAGS, LABELS))
    return tmp_path / "pool"


def change(table: Path, edit: Callable[[Any], object]) -> None:
    path = table / "manifest-000001.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", NAMES)
def test_file_names_that_lead_elsewhere_are_refused_before_anything_is_opened(
    name: object, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(Location, "size", lambda self, file: read.append(file))
    change(table, lambda content: content["files"][0].update(name=name))
    with pytest.raises(BadData, match=rf"manifest-000001.json, unreadable \(file name {re.escape(repr(name)[:70])}"):
        open_pool(table, "bird")
    assert not read


GROUP: list[tuple[str, Any]] = [
    ("rows", -5), ("rows", 0), ("rows", "x"), ("rows", 1.5), ("rows", True), ("rows", None), ("rows", 1 << 70),
    ("instances", 0), ("instances", -1), ("instances", 3), ("start", -1), ("size_bytes", 0), ("size_bytes", 1 << 40),
    ("digest", ""), ("digest", "../" * 20 + "abcd"), ("digest", 5),
]  # fmt: skip
WHOLE: list[tuple[str, Any]] = [
    ("files", {}), ("files", []), ("files", "abc"), ("files", [[]]), ("files", None), ("images", {}), ("version", 2),
    ("version", "1"), ("classes", "bird"), ("classes", [1]), ("left_out", {}), ("payload", []),
]  # fmt: skip


def refused(table: Path, capsys: pytest.CaptureFixture[str], found: str) -> None:
    with pytest.raises(BadData, match=found):
        open_pool(table, "bird")
    assert main(["pool", "inspect", str(table), "--verify"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert len(said.err) < 300 + len(str(table))


@pytest.mark.parametrize(("key", "value"), GROUP)
def test_numbers_that_cant_be_are_refused(
    key: str, value: object, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(table, lambda content: content["files"][0]["groups"][0].update({key: value}))
    refused(table, capsys, rf"unreadable \({key} ")


@pytest.mark.parametrize(("key", "value"), WHOLE)
def test_other_forms_are_refused(key: str, value: object, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(table, lambda content: content.update({key: value}))
    refused(table, capsys, "manifest-000001.json, unreadable")


@pytest.mark.parametrize(
    "text", ["", "null", "7", '"x"', "[" * 100_000, "{" * 3, "\ufeff{}", '{"schema": "bags/1"}'], ids=range(8)
)
def test_what_is_no_manifest_is_refused(text: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table / "manifest-000001.json").write_text(text)
    refused(table, capsys, "manifest-000001.json, unreadable")


def test_a_file_listed_twice_is_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(table, lambda content: content["files"].append(content["files"][0]))
    refused(table, capsys, r"unreadable \(a file twice\)")


def test_rows_other_than_the_files_are_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(table, lambda content: content["files"][0]["groups"][0].update(rows=1))
    refused(table, capsys, "with 30 bags in .* those of the manifest")


@pytest.mark.parametrize("more", [-1, 1])
def test_instances_other_than_the_files_are_refused(more: int, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(content: Any) -> None:
        content["files"][0]["groups"][0]["instances"] += more

    change(table, edit)
    with pytest.raises(BadData, match="a row group with another number of instances"):
        open_pool(table, "bird")[0]
    assert main(["pool", "inspect", str(table)]) == 2
    assert "instances in the files of" in capsys.readouterr().err
