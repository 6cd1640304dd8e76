"""The house in order: who may import whom, where Ray stands, what is documented, how long files are."""

import ast
import inspect
from pathlib import Path

import pytest

import service.strategies
from service.strategies import STRATEGIES
from service.strategies.base import Strategy

ROOT = Path(__file__).parents[2]
ROOMS = {"common": set(), "service": {"common"}, "trainer": {"common"}, "deploy": {"common", "service", "trainer"}}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
RAY_FILES = {"service/ray_fleet.py", "service/ray_service.py"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in named}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_those_below_them(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert imported(path) & set(ROOMS) <= ROOMS[room] | {room}


def test_ray_stands_at_the_edge_only() -> None:
    assert {str(path.relative_to(ROOT)) for path in FILES if "ray" in imported(path)} == RAY_FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [node for node in ast.walk(tree) if isinstance(node, kinds) and not node.name.startswith("_")]
    inner = {child for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
    outer = [node for node in public if node not in inner or any(node is top for top in tree.body)]
    methods = [item for node in tree.body if isinstance(node, ast.ClassDef) for item in node.body]
    checked = [node for node in public if node in outer or node in methods]
    assert [node.name for node in checked if not ast.get_docstring(node)] == []
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea_of_at_most_250_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def test_every_strategy_file_has_its_row() -> None:
    folder = Path(inspect.getfile(service.strategies)).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "uncertainty"}
    assert files == set(STRATEGIES)
    assert all(issubclass(kind, Strategy) for kind in STRATEGIES.values())
