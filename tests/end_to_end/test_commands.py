"""Output of every command before it does anything: help, version, lists; and how little that imports."""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from negsift.deploy.listing import PARTS
from negsift.deploy.main import main

ROOT = Path(__file__).parents[2]
COMMANDS = ["", "demo", "list", "train", "report", "pool", "pool build", "pool inspect", "serve", "serve up"]
COMMANDS += ["serve status", "serve down", "sweep", "replay", "plan"]
HEAVY = {"torch", "torchvision", "torchaudio", "ray", "sklearn", "scipy", "matplotlib", "pandas"}
MISTAKES = [
    "trian", "train", "train digit", "train digits seed", "train digits stratgy.name=badge", "list nothing",
    "train digits strategy.name=bagde", "train digits model.name=vgg", "train digits --config nowhere.json",
    "sweep", "sweep digit", "sweep digits --over seed", "sweep table1 --seeds 0", "pool build",
    "pool build OUT --from nowhere dtyp=1", "pool inspect nowhere", "serve up POOL shards=0",
    "serve status", "serve down", "plan digits", "plan digits --bags 1x", "plan digit --bags 1e3",
]  # fmt: skip
LIGHT = """
import contextlib, io, json, sys
from negsift.deploy.main import main
loaded = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    loaded[" ".join(words)] = [code, *sorted(set(json.loads(sys.argv[2])) & sys.modules.keys())]
print(json.dumps(loaded))
"""


def heavy_after(commands: list[list[str]]) -> dict[str, list[int | str]]:
    """Each command's exit code and the heavy packages that are loaded after it, in one process of their own."""
    alone = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    words = [sys.executable, "-c", LIGHT, json.dumps(commands), json.dumps(sorted(HEAVY))]
    answer = subprocess.run(words, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    loaded: dict[str, list[int | str]] = json.loads(answer.stdout)
    return loaded


def test_help_and_lists_load_no_heavy_package() -> None:
    helps = [[*command.split(), "--help"] for command in COMMANDS]
    done = heavy_after([["--version"], *helps, ["list"], *(["list", part] for part in PARTS)])
    assert {command: state for command, state in done.items() if state != [0]} == {}


def test_a_mistake_is_found_without_a_heavy_package() -> None:
    done = heavy_after([words.split() for words in MISTAKES])
    assert {command: state for command, state in done.items() if state != [2]} == {}


def test_a_table_is_inspected_without_a_heavy_package(tmp_path: Path) -> None:
    (tmp_path / "bags.csv").write_text("bag_id,label,x,y\n" + "".join(f"b{bag},{bag % 2},1,2\n" for bag in range(9)))
    for name in ("bird", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((16, 16, 3), 60 * number, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    pools = {name: str(tmp_path / f"pool-{name}") for name in ("bags.csv", "photos")}
    assert [main(["pool", "build", pool, "--from", str(tmp_path / name)]) for name, pool in pools.items()] == [0, 0]
    done = heavy_after([["pool", "inspect", pool, "--verify"] for pool in pools.values()])
    assert list(done.values()) == [[0], [0]]


def test_configurations_and_strategies_load_no_heavy_package() -> None:
    program = "from negsift import FleetConfig, ScoringConfig, Strategy, Round, Selection, BuildConfig; "
    program += "import negsift.deploy.recipes, sys; print(*set(sys.argv[1:]) & sys.modules.keys())"
    words = [sys.executable, "-c", program, *HEAVY]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: negsift {command}".rstrip())
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("module", ["negsift", "deploy"])
def test_a_checkout_runs_as_a_module_under_the_same_name(module: str) -> None:
    words = [sys.executable, "-m", module, "trian"]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("negsift: ")
    assert "see negsift --help" in answer.stderr


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"negsift {project['version']}\n"


def test_list_prints_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    whole = capsys.readouterr().out
    for part in PARTS:
        assert main(["list", part]) == 0
        assert capsys.readouterr().out in f"{whole}\n"
    words = ("cifar10-resnet18", "svm_margin", "digits", "psla", "softmax_max", "roc_auc", "sampling.ratio", "arrays")
    assert all(word in whole for word in words)


def test_an_unknown_part_lists_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "stratgies"]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in PARTS)
    assert "did you mean 'strategies'" in error


def test_the_help_of_list_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list", "--help"])
    text = capsys.readouterr().out
    assert all(part in text for part in PARTS)


@pytest.mark.parametrize(
    ("program", "slow"),
    [
        # what a scorer runs, and what it is sent
        ("service.scoring.shard_cache, negsift.common.models.encoders", "matplotlib pandas sklearn torchvision"),
        ("service.cluster.coordinator", "matplotlib numba pandas pyarrow scipy sklearn torch"),
        ("deploy.dry_run, negsift.deploy.workers", "matplotlib pandas ray scipy sklearn torch"),
    ],
)
def test_actors_and_dry_runs_start_without_slow_imports(program: str, slow: str) -> None:
    code = f"import sys, negsift.{program}; print(*set({slow.split()}) & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("images data.root=nowhere", "no folder nowhere"), ("images", "no data.root"), ("table1", "no data.root"),
        ("digits --over strategy.nam=random", "strategy.nam"), ("digits --over seed", "--over 'seed'"),
        ("digits --over seed=", "--over 'seed='"), ("digits --over seed=1 --over seed=2", "seed twice"),
        ("digits --seeds 0", "--seeds 0"), ("digits --seeds x", "--seeds"), ("digits --seeds 20000", "20,000 trials"),
        ("digits --seeds 2 --over seed=1", "--seeds"), ("digits --cpus -1", "--cpus"), ("digits --gpus nan", "--gpus"),
        ("digits --parallel 0", "--parallel"), ("digits --over training.workers=1,2", "training.workers=2"),
        ("digits --over strategy.name=random,bagde", "bagde"), ("digitz", "digitz"), ("digits seeds=3", "seeds"),
        ("digits --out ''", "--out"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_is_one_line_and_leaves_nothing(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *shlex.split(words)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
