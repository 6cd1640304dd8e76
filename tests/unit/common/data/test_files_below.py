"""Listings of folders: visible files, once for a folder and those in it."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from negsift.common.data.files_below import endings_below, files_below, listed_once


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b/2", "b/1", "a/c/3", "4", ".hidden/5", "a/.6"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("first", [".", "a", "a/c", "b"])
def test_a_listing_made_once_is_that_of_every_call(first: str, root: Path) -> None:
    folders = [root / name for name in (first, ".", "a", "b", "a/c", "absent")]
    expected = [sorted(files_below(folder)) for folder in folders]
    with listed_once():
        assert [sorted(files_below(folder)) for folder in folders] == expected
    assert expected[1] == [root / "4", root / "a/c/3", root / "b/1", root / "b/2"]
    assert expected[-1] == []


def test_a_folder_and_those_in_it_are_listed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked, walk = list[str](), os.walk
    monkeypatch.setattr(os, "walk", lambda folder, **options: walked.append(str(folder)) or walk(folder, **options))
    with listed_once():
        for name in (".", "a", "b", "a/c", "."):
            list(files_below(root / name))
    assert walked == [str(root)]
    (root / "new").touch()
    assert root / "new" in list(files_below(root))


@pytest.mark.parametrize("name", ["a.png", "a.b.PNG", "a", "a.", "a..", "a b.tar.gz", "..b", "é.Csv"])
@pytest.mark.parametrize("once", [False, True])
def test_endings_are_those_of_pathlib(name: str, once: bool, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / name
    path.touch()
    with listed_once() if once else nullcontext():
        expected = {path.suffix.lower(): [path]} if name[0] != "." else {}
        assert endings_below(tmp_path) == endings_below(tmp_path / "below") == expected
