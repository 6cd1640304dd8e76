"""The house rules that no linter checks: sizes, unique class names, the table of strategies."""

import dataclasses
import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

import negsift.service.strategies
from negsift.service.strategies import STRATEGIES, StrategyConfig
from negsift.service.strategies.base import Strategy

ROOT = Path(__file__).parents[2]
FILES = [path for room in ("common", "service", "trainer", "deploy") for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = [module.name for module in pkgutil.iter_modules(negsift.service.strategies.__path__)]


def test_no_file_is_over_250_lines() -> None:
    assert not [path for path in FILES if len(path.read_text().splitlines()) > 250]


def test_no_two_classes_have_one_name() -> None:
    names = Counter(name for path in FILES for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE))
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("module", MODULES)
def test_every_strategy_is_in_the_table(module: str) -> None:
    name = f"negsift.service.strategies.{module}"
    kinds = [kind for kind in vars(importlib.import_module(name)).values() if isinstance(kind, type)]
    own = [kind for kind in kinds if kind.__module__ == name and issubclass(kind, Strategy) and kind is not Strategy]
    assert all(STRATEGIES.get(module) is kind for kind in own)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_says_what_it_wants(name: str) -> None:
    assert STRATEGIES[name].__doc__
    assert STRATEGIES[name].__module__ == f"negsift.service.strategies.{name}"


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_option_has_the_same_default_as_a_field_and_as_a_setting(name: str) -> None:
    options = {field.name: field.default for field in dataclasses.fields(STRATEGIES[name])}
    assert {key: getattr(StrategyConfig(), key) for key in options} == options
