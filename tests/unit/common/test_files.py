"""Files that are files, and those of a folder."""

import os
import socket
from pathlib import Path

import pytest

from negsift.common.data.files_below import files_below
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.torch_file import load_tensors


def test_files_and_links_to_them_are_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    assert [regular(tmp_path / name).read_text() for name in "ab"] == ["x", "x"]


@pytest.mark.parametrize("name", ["fifo", "socket", "folder", "zero", "loop", "missing", "a\0b", "n" * 300])
def test_everything_else_is_refused_without_being_opened(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))
    with pytest.raises(BadData, match=r"found (a|\S+ unreadable) "):
        regular(tmp_path / name)


def test_the_files_of_a_folder_are_the_visible_ones_that_a_glob_finds(tmp_path: Path) -> None:
    for folder in ("a/b", ".git/objects"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("x.png", "a/y", "a/b/z", "a/b/.z", "._x.png", ".git/objects/o"):
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("a")
    assert set(files_below(tmp_path)) == {tmp_path / name for name in ("x.png", "a/y", "a/b/z")}
    assert not list(files_below(tmp_path / "nowhere"))


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: str) -> None:
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(BadData, match=r"which can't be listed \(Permission denied\)"):
        list(files_below(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04", b"\x80\x02.", b"\x80\x02]q\x00(", b"\x80\x02h\xff.", bytes(100)]
)
def test_whatever_is_wrong_with_saved_tensors_is_bad_data(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(BadData, match=r"w\.pth unreadable \(.+\)"):
        load_tensors(tmp_path / "w.pth")
