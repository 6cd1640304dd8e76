"""Words of the command line that are paths."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from negsift.deploy.settings import a_path


def test_a_leading_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert a_path("~/runs/one") == Path("/home/somebody/runs/one")
    assert a_path("runs/~one") == Path("runs/~one")


def test_an_empty_path_is_not_the_current_folder() -> None:
    with pytest.raises(ArgumentTypeError, match="an empty path"):
        a_path("")
