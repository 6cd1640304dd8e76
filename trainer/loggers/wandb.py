"""Sends a run's numbers to Weights & Biases or to Trackio, which have the same interface."""

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from negsift.trainer.loggers.identity import RunIdentity


@dataclass
class WandbLogger:
    """A run of the project `run.project`, of the library `wandb` or `trackio`; their environment variables hold."""

    library: str
    run: RunIdentity

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send the numbers of a step that isn't there yet."""
        run, first = self._opened
        if step >= first:
            run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left, if a run was opened."""
        if "_opened" in self.__dict__:
            self._opened[0].finish()

    @functools.cached_property
    def _opened(self) -> tuple[Any, int]:  # Any: neither library is always installed
        """The run there, and the first step that it lacks."""
        given = {"project": self.run.project, "config": dict(self.run.config), "resume": "allow"}
        if self.library == "wandb":
            given |= {"id": self.run.id, "name": self.run.name, "dir": str(self.run.folder)}
        else:  # Trackio knows a run by its name
            given |= {"name": f"{self.run.name}-{self.run.id[:8]}"}
        run = importlib.import_module(self.library).init(**given)
        return run, run.step if self.library == "wandb" else run._next_step
