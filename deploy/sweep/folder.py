"""A sweep's folder: `sweep.json`, which says what it runs, and the folder of each trial."""

import enum
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.config import DataConfig
from negsift.common.errors import BadData, BadInput, NegsiftError
from negsift.common.overrides import updated
from negsift.deploy.one_line import one_line
from negsift.deploy.pinned import is_run_of
from negsift.deploy.sweep.trial import TrialSpec
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.results.records import ALONE, read_lines, read_object
from negsift.trainer.results.runs import require_selections
from negsift.trainer.results.trials import SWEEP

log = logging.getLogger(__name__)
FAILED, STOPPED = "failed.json", "stopped.json"
"""What a trial's folder holds if the trial failed, or was stopped since others of its bags were better."""


class TrialState(enum.Enum):
    """How far a trial is."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"
    STOPPED = "stopped early"
    FAILED = "failed"
    DAMAGED = "damaged"

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self in (TrialState.FINISHED, TrialState.STOPPED)


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep. Only the folders of its trials are ever removed from it."""

    path: Path

    def claim(self, facts: Json) -> None:
        """Write what the sweep runs. Raises BadInput as `require_recipe` does."""
        self.require_recipe(facts["recipe"])
        RunFolder(self.path).write_json(SWEEP, facts)

    def require_recipe(self, wanted: str) -> None:
        """Raise BadInput for a folder of another recipe, or of a single run."""
        place = self.path / SWEEP
        if (self.path / "config.json").exists():
            raise BadInput(f"a run in {self.path}", "an empty folder or that of a sweep", "choose another --out")
        recipe = read_object(place, ALONE).values.get("recipe") if os.path.lexists(place) else wanted
        if recipe != wanted:
            found = f"a sweep of {recipe} in {self.path}"
            raise BadInput(found, f"an empty folder or one of {wanted}", "choose another --out")

    def require_places(self, trials: Iterable[TrialSpec]) -> None:
        """Raise BadInput if what is in a trial's place is no folder, or a link."""
        for path in (self.run(trial).path for trial in trials):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                found = f"{path}, which is {'a link' if path.is_symlink() else 'no folder'}"
                raise BadInput(found, "the folder of a trial, or nothing", "remove it or choose another --out")

    def run(self, trial: TrialSpec) -> RunFolder:
        """The folder of a trial."""
        return RunFolder(self.path / trial.name)

    def state(self, trial: TrialSpec) -> TrialState:
        """How far a trial is; one that is finished is DAMAGED if its files are not its own, or not whole."""
        run = self.run(trial)
        try:
            if run.summary is not None:
                return TrialState.FINISHED if _is_whole(run, trial) else TrialState.DAMAGED
            begun = run.config is not None and run.load() is not None
        except BadData:
            return TrialState.DAMAGED
        for name, state in ((FAILED, TrialState.FAILED), (STOPPED, TrialState.STOPPED)):
            if (run.path / name).exists():
                return state
        return TrialState.BEGUN if begun else TrialState.NEW

    def data(self) -> Iterator[DataConfig]:
        """The data of all trials that are here, but for those whose configuration can't be read."""
        for path in sorted(self.path.glob("*/config.json")):
            with suppress(BadInput):
                stored = (RunFolder(path.parent).config or {}).get("data")
                yield updated(DataConfig(), stored if isinstance(stored, dict) else {})

    def start(self, trial: TrialSpec) -> None:
        """Forget how the trial ended before; its epochs stay, unless its folder is damaged: then it is removed."""
        if self.state(trial) is TrialState.DAMAGED:
            log.warning("%s is damaged, and done again", trial.name)
            shutil.rmtree(self.run(trial).path)
        for name in (FAILED, STOPPED):
            (self.run(trial).path / name).unlink(missing_ok=True)

    def fail(self, trial: TrialSpec, error: BaseException) -> None:
        """Write down why a trial failed, in one line, if there is room for it."""
        line = str(error) if isinstance(error, NegsiftError) else f"{type(error).__name__}: {error}"
        with suppress(BadInput):  # of a full disk, say
            self.run(trial).write_json(FAILED, {"error": one_line(line, 300)})

    def why(self, trial: TrialSpec) -> str:
        """Why a trial has not ended."""
        unknown = f"nothing could be written in {self.run(trial).path}; is there free space?"
        return str((self.run(trial).read_json(FAILED) or {}).get("error", unknown))

    def stop(self, trial: TrialSpec, reason: str) -> None:
        """Write down that a trial was stopped early."""
        self.run(trial).write_json(STOPPED, {"reason": reason})


def _is_whole(run: RunFolder, trial: TrialSpec) -> bool:
    """Whether a finished run is the trial's, with the metrics of every epoch; raises BadData for unreadable files."""
    require_selections(run.path)
    epochs = {line.whole("epoch") for line in read_lines(run.path / "metrics.jsonl")}
    return len(epochs) == (run.summary or {}).get("epochs_run") and is_run_of(trial.config, run)
