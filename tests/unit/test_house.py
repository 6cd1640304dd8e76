"""The house rules a machine can check: who imports whom, docstrings, sizes, the table of strategies."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import negsift.service.strategies
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.base import Strategy

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "common": {"service", "trainer", "deploy", "tests"},
    "service": {"trainer", "deploy", "tests"},
    "trainer": {"service", "deploy", "tests"},
    "deploy": {"tests"},
}
FILES = [path for room in FORBIDDEN for path in sorted((ROOT / room).rglob("*.py"))]
IDS = [str(path.relative_to(ROOT)) for path in FILES]
RAY = ("service/cluster", "service/serving", "service/monitoring/metrics", "trainer/workers", "deploy/")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def imports(path: Path) -> set[str]:
    """Top-level packages imported anywhere in a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found.add(str(node.module).split(".")[0])
    return found


def public(node: Documented, name: str) -> list[tuple[str, Documented]]:
    """The node and what it holds, but for private names and what is local to functions."""
    found = [(name, node)]
    for child in node.body if isinstance(node, (ast.Module, ast.ClassDef)) else ():
        if isinstance(child, Documented) and not child.name.startswith("_"):  # type: ignore[union-attr]  # no module
            found += public(child, f"{name}.{child.name}")  # type: ignore[union-attr]  # the same
    return found


def strategies_in(module: str) -> list[type[Strategy]]:
    values = vars(importlib.import_module(module)).values()
    return [value for value in values if isinstance(value, type) and value.__module__ == module]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_rooms_import_only_what_is_below_them(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert not imports(path) & FORBIDDEN[room]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_ray_is_imported_at_the_edges_only(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    assert "ray" not in imports(path) or name.startswith(RAY)


def test_a_scorer_starts_without_packages_that_take_long_to_import() -> None:
    told = "import sys, negsift.service.fleet.local; print(*{'matplotlib', 'pandas', 'sklearn', 'torchvision'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "\n"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_everything_public_has_a_docstring(path: Path) -> None:
    found = public(ast.parse(path.read_text()), path.stem)
    assert not [name for name, node in found if not ast.get_docstring(node)]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_file_is_over_250_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


@pytest.mark.parametrize(
    "name",
    [f"negsift.service.strategies.{found.name}" for found in pkgutil.iter_modules(negsift.service.strategies.__path__)],
)
def test_every_strategy_is_in_the_table(name: str) -> None:
    kinds = [kind for kind in strategies_in(name) if issubclass(kind, Strategy) and kind is not Strategy]
    assert all(STRATEGIES.get(name.rpartition(".")[2]) is kind for kind in kinds)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_says_what_it_wants(name: str) -> None:
    assert STRATEGIES[name].__doc__
    assert STRATEGIES[name].__module__ == f"negsift.service.strategies.{name}"
