"""Programs that write to one table at the same moment: one wins, the others say so, and nothing is lost."""

import errno
import os
from itertools import pairwise
from pathlib import Path

import pytest
from pyarrow import fs as pafs

from negsift.common.data.table import writer
from negsift.common.data.table.ids import read_column
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest, versions
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.statistics import verify
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData
from tests.unit.racing import named, race, racers
from tests.unit.tables import as_table, random_bags, third_positive

RACERS, RACES, TABLE = 2, 200, 20  # programs in a race, races, and races for versions of one table


def test_of_programs_that_append_at_the_same_moment_nothing_is_lost(tmp_path: Path) -> None:
    with racers(RACERS) as pool:
        told = [race(pool, RACERS, tmp_path / str(number // TABLE), number) for number in range(RACES)]
    errors = [error for race in told for _, error in race if error]
    assert all("which another program has written in the meantime; expected one writer" in error for error in errors)
    for table in range(RACES // TABLE):
        where = Location.of(tmp_path / str(table))
        won = [first for race in told[TABLE * table :][:TABLE] for first, error in race if not error]
        require_whole(where, len(won))
        assert sorted(ids(where)) == sorted(name for first in won for name in named(first))


def require_whole(where: Location, newest: int) -> None:
    """Every version holds the files of the one before, all bytes are there, and no other files."""
    assert versions(where) == list(range(1, newest + 1))
    history = [read_manifest(where, version) for version in versions(where)]
    assert all(later.files[: len(earlier.files)] == earlier.files for earlier, later in pairwise(history))
    verify(where, history[-1])
    assert {name for name in os.listdir(where.path) if "manifest" not in name} == {f.name for f in history[-1].files}


def ids(where: Location) -> list[str]:
    return [name for file in read_manifest(where).files for name in read_column(where, file, [0], "bag_id").to_pylist()]


def begun(where: Location) -> TableWriter:
    writer = TableWriter(where, Payload("features", "float16", (6,)), append=True)
    writer.add(as_table(random_bags(3), third_positive(3)))
    return writer


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_build_leaves_what_another_of_the_same_bags_is_about_to_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_is_interrupted(*_: object) -> None:
        monkeypatch.setattr(writer, "require_unique_ids", interrupt)  # both have written their bags, no manifest yet
        with pytest.raises(KeyboardInterrupt), begun(Location.of(tmp_path)):
            pass

    monkeypatch.setattr(writer, "require_unique_ids", other_is_interrupted)
    with begun(Location.of(tmp_path)):
        pass
    require_whole(Location.of(tmp_path), 1)


def test_a_build_interrupted_after_its_version_was_published_leaves_it(tmp_path: Path) -> None:
    late = begun(Location.of(tmp_path))
    late.finish()
    late.discard()
    require_whole(Location.of(tmp_path), 1)


@pytest.fixture(params=["a disk", "a disk without hard links", "another file system"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    if request.param == "another file system":
        return Location(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "t", "t")
    if request.param == "a disk without hard links":
        monkeypatch.setattr(os, "link", refused)
    return Location.of(tmp_path / "t")


def refused(old: str, new: str) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def test_a_name_that_is_taken_keeps_its_content(place: Location) -> None:
    place.write("x", b"first")
    with pytest.raises(FileExistsError):
        place.write("x", b"second")
    assert (place.read("x").to_pybytes(), place.files()) == (b"first", ["x"])


def test_the_later_of_two_writers_of_a_version_is_told_and_leaves_nothing(place: Location) -> None:
    first, second = begun(place), begun(place)
    first.finish()
    before = place.files()
    with pytest.raises(BadData, match="version 1 of .*; expected one writer at a time; nothing was added"), second:
        pass
    assert place.files() == before


def test_a_folder_made_while_it_is_looked_for_is_read(tmp_path: Path) -> None:
    where = Location.of(tmp_path / "table")

    class Racing:
        """The local file system, on which another program makes the folder while pyarrow looks for it."""

        def get_file_info(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
            if not (tmp_path / "table").exists():
                (tmp_path / "table").mkdir()
                raise FileNotFoundError(errno.ENOENT, "Cannot list directory")
            return list(pafs.LocalFileSystem().get_file_info(selector))

    assert Location(Racing(), where.path, where.name).files() == []  # type: ignore[arg-type]
