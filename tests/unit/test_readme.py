"""The README's blocks run as they stand, and its links and files exist."""

import re
import shlex
from pathlib import Path

import pytest

from negsift.common.overrides import override
from negsift.deploy.commands import parser
from negsift.deploy.recipes import RECIPES, recipe

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for line in TEXT.splitlines() if line.startswith("python -m deploy ")]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_blocks_run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    given = parser().parse_args(shlex.split(command)[3:])
    if "recipe" in given:
        assert override(recipe(given.recipe), given.set).recipe in RECIPES


def test_make_targets_exist() -> None:
    targets = re.findall(r"^make (\w+)", TEXT, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_links_into_the_project_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert all((ROOT / link).exists() for link in links)
