"""What is set for a while is as before afterwards."""

import os
from contextlib import suppress

import pytest

from negsift.common.environment import unchanged_environment


def test_variables_set_changed_and_removed_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.setenv("REMOVED", "before")
    before = dict(os.environ)
    with suppress(KeyError), unchanged_environment():
        os.environ |= {"CHANGED": "now", "NEW": "now"}
        del os.environ["REMOVED"]
        raise KeyError
    assert dict(os.environ) == before
