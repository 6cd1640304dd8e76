"""deploy/docker: what it copies exists, the user isn't root, versions are the lock's, and its Python steps work."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.deploy.files.checkout import DOCKERFILE, KUBERNETES, ROOT, commands, locked
from tests.unit.deploy.files.dockerfile import Instruction, Stage, image, instructions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IGNORE = (ROOT / ".dockerignore").read_text().splitlines()
SENT = [line.removeprefix("!") for line in IGNORE if line.startswith("!")]
"""What .dockerignore lets the build see."""
every_device = pytest.mark.parametrize("device", ["cpu", "gpu"])


def runs(stage: Stage) -> list[Instruction]:
    return [instruction for instruction in stage.instructions if instruction.word == "RUN"]


@pytest.mark.parametrize("line", ["COPY a b", "USER root", "FROM example.org/ray", "RUN", "run ls"])
def test_the_reader_refuses_what_it_does_not_know(line: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"{line}\n")
    with pytest.raises(ValueError, match="not read"):
        list(instructions(tmp_path / "Dockerfile"))


@every_device
def test_the_user_is_not_root_and_owns_what_kubernetes_mounts(device: str) -> None:
    [user] = [step.parts["user"] for step in image(DOCKERFILE, DEVICE=device).instructions if step.word == "USER"]
    assert int(user) > 0
    groups = {group for path in KUBERNETES for group in re.findall(r"fsGroup: (\d+)", path.read_text())}
    assert groups == {user}


@every_device
def test_the_image_is_pythons_own_of_the_version_that_types_are_checked_for(device: str) -> None:
    name, _, tag = image(DOCKERFILE, DEVICE=device).image.partition(":")
    version = PROJECT["tool"]["mypy"]["python_version"]
    assert name == "python"
    assert tag.startswith(f"{version}-")
    assert PROJECT["project"]["requires-python"] == f">={version}"


def test_only_the_image_for_gpus_asks_for_nvidias_devices() -> None:
    assert not [step for step in image(DOCKERFILE).instructions if step.word == "ENV"]
    [variables] = [step for step in image(DOCKERFILE, DEVICE="gpu").instructions if step.word == "ENV"]
    assert variables.parts["variables"].startswith("NVIDIA_VISIBLE_DEVICES=all ")


def test_both_images_share_all_layers_with_packages() -> None:
    assert runs(image(DOCKERFILE)) == runs(image(DOCKERFILE, DEVICE="gpu"))


def test_what_is_mounted_exists_and_is_sent_to_the_build() -> None:
    sources = [mount["source"] for run in runs(image(DOCKERFILE)) for mount in run.mounts]
    assert sources == ["requirements.lock", "."]
    assert IGNORE[1] == "*"
    assert all((ROOT / name).exists() for name in SENT)
    assert "requirements.lock" in SENT


@pytest.mark.parametrize("run", runs(image(DOCKERFILE)), ids=lambda run: run.parts["command"][:15])
def test_a_step_is_a_command_that_a_shell_reads_and_names_no_host(run: Instruction) -> None:
    command = run.parts["command"]
    subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    assert not re.search(r"://|index|latest|--extra|--find-links", command)


def test_the_lock_has_exact_versions_and_no_host() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in lines)
    assert f"ray[default,train,tune]=={locked('ray').rpartition('.')[0]}.*" in PROJECT["project"]["dependencies"]


def test_the_file_names_both_commands() -> None:
    builds = [command.split() for command in commands(DOCKERFILE)]
    assert all((ROOT / words[words.index("-f") + 1]) == DOCKERFILE for words in builds)
    assert [words[words.index("-t") + 1] for words in builds] == ["negsift:cpu", "negsift:gpu"]
    assert "DEVICE=gpu" in builds[1]


@pytest.mark.slow  # minutes, and 5 GB from a package index
def test_the_python_steps_make_a_negsift_that_runs(tmp_path: Path) -> None:
    sent, python = tmp_path / "checkout", tmp_path / "venv" / "bin" / "python"
    copy_sent(sent)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    if subprocess.run(
        [python, "-m", "pip", "download", "--no-deps", "--dest", tmp_path, "idna"], check=False
    ).returncode:
        pytest.skip("pip reaches no package index")
    for run in runs(image(DOCKERFILE)):
        if run.parts["command"].startswith("pip "):
            subprocess.run(here(run, sent), shell=True, check=True, env=beside(python))
    shutil.rmtree(sent)
    for words in (["negsift", "list"], ["python", "-c", "import faiss, ray, torch; torch.ones(1)"]):
        subprocess.run(words, env=beside(python), cwd=tmp_path, check=True)
    [installed] = (tmp_path / "venv").glob("lib/python*/site-packages/negsift")
    assert modules(installed) == modules(ROOT / "negsift")


def modules(package: Path) -> set[str]:
    return {str(Path(folder, name).relative_to(package)) for folder, _, names in os.walk(package, followlinks=True)
            for name in names if name.endswith(".py")}  # fmt: skip


def copy_sent(target: Path) -> None:
    """What the build sees, links as links."""
    target.mkdir()
    for path in (ROOT / name for name in SENT):
        if path.is_dir():
            shutil.copytree(path, target / path.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, target)


def here(run: Instruction, sent: Path) -> str:
    """The step's command, with its mounts where they are on this machine."""
    command = run.parts["command"]
    for mount in run.mounts:
        command = command.replace(mount["target"], str(sent / mount["source"]))
    return command


def beside(python: Path) -> dict[str, str]:
    """An environment whose commands are those of the empty environment first."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "PATH": f"{python.parent}:{os.environ['PATH']}"
    }
