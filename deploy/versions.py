"""What a run was made with: Python, packages, the checkout's commit, the machine's cores and GPUs."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("torch", "torchvision", "torchaudio", "soundfile", "ray", "numpy", "scikit-learn", "faiss-cpu", "pyarrow")


def versions() -> dict[str, str]:
    """Names and versions, and the commit with `-changed` if the checkout differs from it."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    gpus = f", {torch.cuda.device_count()} GPUs" if torch.cuda.is_available() else ""
    return found | {"git": _commit(), "machine": f"{len(os.sched_getaffinity(0))} cores{gpus}"}


def _commit() -> str:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed"], cwd=Path(__file__).parent,
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "no checkout"
    return answer.stdout.strip()
