"""What is different where a command runs as a Ray job."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from negsift.common.errors import BadInput

_COPIES = "runtime_resources"
"""The folder in which Ray keeps, for a time, what jobs have brought along."""


def is_job() -> bool:
    """Whether this process is the driver of a Ray job."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def require_lasting(out: Path | None) -> None:
    """Raise BadInput in a job that would write to a folder which goes with it."""
    if is_job() and (out is None or _COPIES in out.absolute().parts):
        found = "a job without --out" if out is None else f"--out {out}, in the job's own folder"
        raise BadInput(found, "an absolute path on a disk that all nodes see", "a job's own folder goes with the job")


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM, by which Ray and others stop a program, is as Ctrl-C within."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
