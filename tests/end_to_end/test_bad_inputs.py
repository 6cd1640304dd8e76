"""Whatever is wrong with what a user gives: exit code 2, one line that names it, and nothing left behind."""

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from negsift.deploy.main import main
from tests.end_to_end import bad_inputs
from tests.end_to_end.bad_inputs.case import Case
from tests.end_to_end.bad_inputs.privileges import without_privileges

MODULES = [module.name for module in pkgutil.iter_modules(bad_inputs.__path__)]
TABLES = {name: importlib.import_module(f"tests.end_to_end.bad_inputs.{name}") for name in MODULES}
CASES: dict[str, Case] = {
    f"{name}: {kind}": bad for name, module in TABLES.items() for kind, bad in getattr(module, "CASES", {}).items()
}
HUNG_S, LONGEST_LINE, LONGEST_ID = 120.0, 300, 100


def content(folder: Path) -> dict[Path, bytes | str | int]:
    """Everything below a folder: what files hold, where links point, and the kind of the rest."""
    paths = sorted(path for path in folder.rglob("*"))
    return {path: _content(path) for path in paths}


def _content(path: Path) -> bytes | str | int:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_bytes() if path.is_file() else path.lstat().st_mode


@pytest.fixture
def deadline() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"nothing said for {HUNG_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, HUNG_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_the_table_is_large() -> None:
    assert len(CASES) >= 400


@pytest.mark.usefixtures("deadline")
@pytest.mark.parametrize("bad", CASES.values(), ids=[re.sub(r"[^ -~]", "?", kind)[:LONGEST_ID] for kind in CASES])
def test_a_bad_input_is_one_line_that_names_it_exit_code_2_and_nothing_left_behind(
    bad: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in bad.env.items():
        monkeypatch.setenv(name, value)
    bad.make()
    capfd.readouterr()
    before = content(tmp_path)
    with without_privileges(bad.unprivileged):
        code = main(list(bad.words))
    said = capfd.readouterr()
    assert code == 2, said
    assert said.err.startswith("negsift: ")
    assert len(said.err.splitlines()) == 1, said.err
    assert len(said.err.rstrip("\n")) <= LONGEST_LINE
    assert re.search(bad.names, said.err), said.err
    assert re.fullmatch(f"({bad.says})*", said.out), said.out
    assert content(tmp_path) == before
