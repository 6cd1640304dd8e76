"""Parts of a build: a build that was killed goes on where it was, if nothing has changed."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.table.build import RunParts, build_table, one_by_one
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.sources import source as sources
from negsift.common.data.table.sources.source import BuildConfig, Part
from negsift.common.errors import BadData
from tests.unit.sources import bags

PARTS, FORM = 5, BuildConfig()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty bags, in five parts."""
    monkeypatch.setattr(sources, "PART_FILES", 4)
    (tmp_path / "bags").mkdir()
    for number in range(20):
        np.save(tmp_path / "bags" / f"{number:02d}.npy", np.full((1 + number % 3, 2), number, np.float32))
    rows = "".join(f"{number:02d},{number % 2}\n" for number in range(20))
    (tmp_path / "bags" / "labels.csv").write_text("bag_id,label\n" + rows)
    return tmp_path / "bags"


def dies_after(done: int) -> RunParts:
    """Ends the process as a signal does, with nothing run after it."""

    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        for number, part in parts.items():
            if number == done:
                os._exit(9)
            yield number, writer.write(number, part.read())

    return run


def build_and_die(where: Path, source: Path, done: int) -> None:
    child = os.fork()
    if not child:
        build_table(where, source, FORM, run=dies_after(done))
    assert os.waitpid(child, 0)[1] >> 8 == 9


def rebuild(where: Path, source: Path, config: BuildConfig = FORM) -> tuple[Manifest, list[int]]:
    """The table, and the parts that were written for it."""
    asked = list[int]()

    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        asked.extend(parts)
        return one_by_one(writer, parts)

    return build_table(where, source, config, run=run), asked


@pytest.mark.parametrize("done", [0, 1, 4])
def test_a_killed_build_goes_on_and_gives_the_same_bytes(done: int, source: Path, tmp_path: Path) -> None:
    whole = build_table(tmp_path / "whole", source, FORM)
    build_and_die(tmp_path / "table", source, done)
    made, asked = rebuild(tmp_path / "table", source)
    assert asked == list(range(done, PARTS))
    assert [file.groups for file in made.files] == [file.groups for file in whole.files]
    assert bags(tmp_path / "table") == bags(tmp_path / "whole")
    assert not [path for path in (tmp_path / "table").iterdir() if path.name.startswith(".part")]


def test_a_part_whose_files_have_changed_is_written_again(source: Path, tmp_path: Path) -> None:
    build_and_die(tmp_path / "table", source, 3)
    np.save(source / "05.npy", np.full((7, 2), 0.5, np.float32))
    made, asked = rebuild(tmp_path / "table", source)
    assert asked == [1, 3, 4]
    assert len(bags(tmp_path / "table")[5]["features"]) == 7
    assert made.rows == 20


def test_parts_of_other_labels_or_settings_are_not_taken(source: Path, tmp_path: Path) -> None:
    build_and_die(tmp_path / "table", source, 3)
    assert rebuild(tmp_path / "table", source, BuildConfig(dtype="float16"))[1] == list(range(PARTS))
    build_and_die(tmp_path / "again", source, 3)
    (source / "labels.csv").write_text((source / "labels.csv").read_text().replace("09,1", "09,0"))
    assert rebuild(tmp_path / "again", source)[1] == [2, 3, 4]


def test_a_damaged_part_is_written_again(source: Path, tmp_path: Path) -> None:
    build_and_die(tmp_path / "table", source, 3)
    first, second = sorted((tmp_path / "table").glob("bags-*.parquet"))[:2]
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    assert rebuild(tmp_path / "table", source)[1] == [0, 1, 3, 4]
    assert [bag["bag_id"] for bag in bags(tmp_path / "table")] == [f"{number:02d}" for number in range(20)]


def test_a_build_that_fails_after_another_was_killed_leaves_nothing(source: Path, tmp_path: Path) -> None:
    build_and_die(tmp_path / "table", source, 3)
    (source / "19.npy").write_bytes(b"no array")
    with pytest.raises(BadData, match="19.npy unreadable"):
        build_table(tmp_path / "table", source, FORM)
    assert not [path for path in (tmp_path / "table").iterdir() if path.suffix == ".parquet" or "part" in path.name]


def test_two_builds_at_once_do_not_take_each_others_parts(source: Path, tmp_path: Path) -> None:
    """The second may not count on files that the first may yet remove."""

    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        for count, written in enumerate(one_by_one(writer, parts)):
            yield written
            if count == 2:
                assert rebuild(tmp_path / "table", source)[1] == list(range(PARTS))

    with pytest.raises(BadData, match="which another program has written in the meantime"):
        build_table(tmp_path / "table", source, FORM, run=run)
    assert [bag["bag_id"] for bag in bags(tmp_path / "table")] == [f"{number:02d}" for number in range(20)]
