"""What a run was made with: Python, packages, the checkout's commit, the machine's cores and GPUs."""

import os
import platform
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]  # holds the rooms beside the folder `negsift`
COMMIT = "NEGSIFT_COMMIT"
"""The variable that tells a job the commit of the checkout that submitted it."""
_PACKAGES = ("torch", "torchvision", "torchaudio", "soundfile", "ray", "numpy", "scikit-learn", "faiss-cpu", "pyarrow")


def own_version() -> str:
    """negsift's version: in a checkout that of pyproject.toml, else the installed package's, else `unknown`."""
    project = _CHECKOUT / "pyproject.toml"
    if (_CHECKOUT / "deploy").exists() and project.exists():
        return str(tomllib.loads(project.read_text())["project"]["version"])
    try:
        return version("negsift")
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Names and versions, and the commit with `-changed` if the checkout differs from it."""
    import torch  # imported here: `negsift --version` needs none

    known = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    gpus = f", {torch.cuda.device_count()} GPUs" if torch.cuda.is_available() else ""
    return known | {"git": commit(), "machine": f"{len(os.sched_getaffinity(0))} cores{gpus}"}


def commit() -> str:
    """The checkout's commit; in a job that of the checkout that submitted it."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed"], cwd=Path(__file__).parent,
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return os.environ.get(COMMIT) or "no checkout"
    return answer.stdout.strip()
