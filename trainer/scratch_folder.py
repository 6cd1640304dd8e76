"""Where Ray Train keeps files of its own while a run lasts, and where a worker leaves an error that is final."""

import os
import pickle
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import torch


@dataclass(frozen=True)
class ScratchFolder:
    """A folder that every worker sees; gone when the run has ended."""

    path: Path

    @property
    def error(self) -> Exception | None:
        """What a worker failed with, if that is final."""
        kept = self.path / "error"
        if not kept.exists():
            return None
        error: Exception = pickle.loads(kept.read_bytes())
        return error

    def fail(self, error: Exception) -> None:
        """Keep an error, unless it is torch's for a worker that was lost: that is a RuntimeError."""
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            return
        error.add_note("".join(traceback.format_exception(error)))
        made = self.path / f".error.{os.getpid()}"
        made.write_bytes(pickle.dumps(error))
        made.replace(self.path / "error")

    def __enter__(self) -> Self:
        shutil.rmtree(self.path, ignore_errors=True)  # of a run that was killed
        self.path.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
