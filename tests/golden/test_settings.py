"""Folders of earlier versions stay what they are: their settings keep their names and defaults, or are free."""

import json
from pathlib import Path

from negsift.common.overrides import flat
from negsift.deploy.run_config import FREE, defaults

EARLIER = json.loads((Path(__file__).parent / "settings.json").read_text())
"""Each setting that a version has had, with its default; new ones are added here."""


def test_settings_keep_their_names_and_defaults_or_are_free_once_they_are_gone() -> None:
    now = flat(json.loads(json.dumps(defaults())))
    assert EARLIER.keys() - now.keys() <= FREE
    assert now == {key: EARLIER.get(key, "missing in settings.json") for key in now}
