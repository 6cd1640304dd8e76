"""Files and folders are complete or absent, follow no link, and what killed writers left goes away."""

import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from negsift.common import unfinished
from negsift.common.unfinished import replacing, replacing_folder

KINDS = pytest.mark.parametrize("kind", [replacing, replacing_folder])
Kind = Callable[[Path], AbstractContextManager[Path | BinaryIO]]


def fill(made: Path | BinaryIO) -> None:
    if isinstance(made, Path):
        (made / "inner").write_bytes(b"new")
    else:
        made.write(b"new")
        made.flush()


def content(path: Path) -> bytes:
    return (path / "inner" if path.is_dir() else path).read_bytes()


@KINDS
def test_nothing_is_there_before_the_end_or_after_an_interruption(kind: Kind, tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), kind(tmp_path / "file") as made:
        fill(made)
        assert not (tmp_path / "file").exists()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


@KINDS
def test_modes_are_those_of_the_umask(kind: Kind, tmp_path: Path) -> None:
    before = os.umask(0o027)
    with kind(tmp_path / "file") as made:
        fill(made)
    os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == (0o640 if kind is replacing else 0o750)


def test_a_file_takes_the_place_of_a_link_and_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    for _ in range(2):
        with replacing(tmp_path / "file") as stream:
            fill(stream)
    assert content(tmp_path / "file") == b"new"
    assert (tmp_path / "victim").read_text() == "untouched"


@KINDS
def test_a_link_under_the_hidden_name_is_not_followed(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if somebody could guess it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".making-guessed").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(uuid, "uuid4", lambda: SimpleNamespace(hex="guessed"))
    with pytest.raises(FileExistsError), kind(tmp_path / "folder" / "file"):
        pass
    assert not (tmp_path / "victim").exists()


@KINDS
def test_what_a_living_writer_holds_stays(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path / "one") as made:
        fill(made)
        unfinished._remove_abandoned.cache_clear()  # as in another process
        with kind(tmp_path / "other") as second:
            fill(second)
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]


@KINDS
def test_what_killed_writers_left_is_removed(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / ".making-file").write_text("half")
    (tmp_path / ".making-folder").mkdir()
    (tmp_path / ".making-folder" / "inner").write_text("half")
    (tmp_path / ".making-link").symlink_to(tmp_path)
    (tmp_path / ".making-begun").touch()
    with kind(tmp_path / "file") as made:
        fill(made)
    assert sorted(os.listdir(tmp_path)) == [".making-begun", ".making-link", "file"]
