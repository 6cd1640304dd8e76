"""The cluster files, and what of the project they have to agree with."""

import itertools
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[4]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").iterdir())
CLOUDS = sorted((DEPLOY / "clouds").iterdir())
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
SBATCH = DEPLOY / "slurm" / "train.sbatch"
ALL = [DOCKERFILE, *KUBERNETES, *CLOUDS, SBATCH]


def documents(path: Path) -> list[Any]:  # Any: YAML
    return list(yaml.safe_load_all(path.read_text()))


def locked(package: str) -> str:
    """The version in requirements.lock."""
    [version] = re.findall(rf"^{package}==(.+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return version


def head(path: Path) -> str:
    """The comment that a file begins with."""
    return "".join(itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines(keepends=True)))


def commands(path: Path) -> list[str]:
    """The commands in that comment: its lines that are indented."""
    return re.findall(r"^#   (.+)$", head(path), re.MULTILINE)
