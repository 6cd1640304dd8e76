"""A table whose disk is full: one error that names it, and nothing is left."""

from pathlib import Path

import pytest

from negsift.common.errors import BadInput
from tests.unit.full_disk import largest_file
from tests.unit.tables import as_table, random_bags, third_positive, write

TABLE = as_table(random_bags(400), third_positive(400))


@pytest.mark.parametrize("size", [0, 2, 100, 4000])  # in the first bytes, in the first row group, in a later one
def test_a_new_table_without_room_leaves_nothing(size: int, tmp_path: Path) -> None:
    message = r"new/table, which can't be written \(File too large\); expected a writable folder with free space"
    with largest_file(size), pytest.raises(BadInput, match=message):
        write(tmp_path / "new" / "table", TABLE)
    assert list(tmp_path.iterdir()) == []


def test_an_append_without_room_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    before = sorted(tmp_path.iterdir())
    with largest_file(4000), pytest.raises(BadInput, match="File too large"):
        write(tmp_path, as_table(random_bags(400), third_positive(400), first=400), append=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_version_that_cannot_be_named_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("negsift.common.data.table.location.rename_to_new", full)
    with pytest.raises(BadInput, match="No space left on device"):
        write(tmp_path / "table", TABLE)
    assert list(tmp_path.iterdir()) == []
