"""Parts of a build: a build that was killed goes on where it was, if nothing has changed."""

import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.table.build import RunParts, build_table, one_by_one
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.sources import source as sources
from negsift.common.data.table.sources.kinds import open_source
from negsift.common.data.table.sources.source import BuildConfig, Part
from negsift.common.errors import BadData, Interrupted
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


@pytest.mark.parametrize("done", [0, 3])
def test_an_interrupted_build_keeps_whole_parts_and_goes_on(done: int, source: Path, tmp_path: Path) -> None:
    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        for number, written in one_by_one(writer, parts):
            if number == done:
                raise KeyboardInterrupt
            yield number, written

    where = tmp_path / "table"
    with pytest.raises(Interrupted if done else KeyboardInterrupt) as stopped:
        build_table(where, source, FORM, run=run)
    assert not done or str(stopped.value) == (
        f"interrupted; 3 of 5 parts are kept in {where}: the same command goes on with them"
    )
    left = sorted(path.suffix for path in where.iterdir()) if where.exists() else []
    assert left == [".json"] * done + [".parquet"] * done
    build_table(tmp_path / "whole", source, FORM)
    assert rebuild(where, source)[1] == list(range(done, PARTS))
    assert bags(where) == bags(tmp_path / "whole")
    assert len(list(where.iterdir())) == PARTS + 1


def test_parts_that_another_build_has_left_go_with_the_next_one_but_no_listed_file(
    source: Path, tmp_path: Path
) -> None:
    where = tmp_path / "table"
    build_and_die(where, source, 3)
    notes = {path.name: path.read_text() for path in where.glob(".part-*")}
    _, asked = rebuild(where, source)
    assert asked == [3, 4]
    for name, text in notes.items():  # as if it had been killed while it removed them
        (where / name).write_text(text)
    (where / ".part-other.json").write_text(next(iter(notes.values())).replace("bags-000001", "../bags-000001"))
    for path in source.glob("*.npy"):
        path.rename(path.with_name(f"1{path.name}"))
    (source / "labels.csv").write_text((source / "labels.csv").read_text().replace("\n", "\n1").removesuffix("1"))
    child = os.fork()
    if not child:
        build_table(where, source, BuildConfig(group_mb=1), append=True, run=dies_after(2))
    assert os.waitpid(child, 0)[1] >> 8 == 9
    made = build_table(where, source, FORM, append=True)
    assert made.rows == 40
    assert {path.name for path in where.iterdir()} == {
        "manifest-000001.json", "manifest-000002.json", *(file.name for file in made.files)
    }  # fmt: skip


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


def test_a_part_is_pickled_once_and_sent_without_the_list_of_its_files(source: Path) -> None:
    (part, *_) = open_source(source, FORM).parts
    sent = pickle.loads(pickle.dumps(part))
    assert part.pickled is part.pickled
    assert (sent.files, sent.pickled) == ((), part.pickled)
    assert [bag.column_names for bag in sent.read()] == [bag.column_names for bag in part.read()]


def test_files_that_change_while_a_build_lasts_are_read_again_by_the_next(tmp_path: Path, source: Path) -> None:
    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        for number, written in one_by_one(writer, parts):
            os.utime(source / "00.npy", ns=(1, 1))  # of the first part, after it was seen
            yield number, written
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="1 of 5 parts are kept"):
        build_table(tmp_path / "table", source, FORM, run=run)
    assert rebuild(tmp_path / "table", source)[1] == list(range(PARTS))
