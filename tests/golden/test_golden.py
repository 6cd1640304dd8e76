"""Picks and losses are those of earlier versions; a change is recorded again, with its reason."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden import figures

RECORDED = json.loads(Path(__file__).with_name("figures.json").read_text())


@pytest.mark.parametrize("what", RECORDED["picks"])
def test_picks_are_those_recorded(what: str) -> None:
    assert figures.picks()[what] == RECORDED["picks"][what]


def test_a_run_is_the_one_recorded_but_for_rounding() -> None:
    found, recorded = figures.run(), RECORDED["run"]
    np.testing.assert_allclose(found["loss"], recorded["loss"], rtol=0.02)
    np.testing.assert_allclose(found["ap"], recorded["ap"], atol=0.03)
