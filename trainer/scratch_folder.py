"""A folder for Ray Train's own files while a run lasts, and for the error that ends the run."""

import pickle
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from negsift.trainer.folder import write_at_once


@dataclass(frozen=True)
class ScratchFolder:
    """A context with a folder that all workers can see; it is removed at the end."""

    path: Path

    @property
    def error(self) -> Exception | None:
        """The error that a worker recorded, if any."""
        file = self.path / "error"
        error: Exception | None = pickle.loads(file.read_bytes()) if file.exists() else None
        return error

    def record(self, error: Exception) -> None:
        """Write down an error that a restart would repeat.

        Other RuntimeErrors than lack of GPU memory are ignored: torch raises them when another worker is lost.
        """
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            return
        error.add_note("".join(traceback.format_exception(error)))
        write_at_once(self.path / "error", lambda path: path.write_bytes(pickle.dumps(error)))

    def __enter__(self) -> Self:
        shutil.rmtree(self.path, ignore_errors=True)  # left behind by a run that was killed
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
