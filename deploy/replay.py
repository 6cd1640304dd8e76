"""`negsift replay`: makes recorded selections again from a run's folder, and says whether they are the same."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from negsift.common.errors import BadData, BadInput, BadWeights
from negsift.common.overrides import flat, updated
from negsift.common.types import Selection
from negsift.deploy.origin import origin
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.trainer.folder import INPUTS, SELECTION, Json, RunFolder
from negsift.trainer.selection_file import RecordedSelection, read_selection_file
from negsift.trainer.selection_inputs import SelectionInputs

_SHOWN = 12
"""Characters of a digest."""


@dataclass(frozen=True)
class Verdict:
    """Whether the selection of an epoch could be made again, and the same in one line."""

    same: bool
    line: str


def replay(path: Path, epoch: int | None, kind: str | None, shards: int | None) -> Iterator[Verdict]:
    """A verdict on one epoch of the run in a folder, by default on each that made a selection and has its weights kept.

    `kind` and `shards` are the fleet's, by default the run's own. Raises BadInput for what can't be tried: no run, no
    such epoch, weights that are not kept, data that is gone.
    """
    folder = RunFolder(path)
    config = stored_config(folder)
    shards = config.fleet.shards if shards is None else shards
    config = replace(config, fleet=replace(config.fleet, kind=kind or config.fleet.kind, shards=shards))
    epochs = _epochs(folder, epoch)
    with Runner() as runner:
        again = Replay(folder, config, runner)
        for one in epochs:
            yield again.verdict(one)


@dataclass(frozen=True)
class Replay:
    """Makes the selections of one run again."""

    folder: RunFolder
    config: RunConfig
    runner: Runner

    def verdict(self, epoch: int) -> Verdict:
        """What becomes of the selection that `epoch` was trained on. Raises BadInput if its weights are not kept."""
        origin = self._origin  # data that can't be read is an error, not a difference
        try:
            recorded = read_selection_file(self.folder.path / SELECTION.format(epoch))
            self._require_turn(recorded.made, epoch)
            inputs = self._inputs(recorded.made, epoch)
            reasons = _differing(recorded.made, origin | inputs.digests())
        except (BadData, BadWeights) as error:
            return Verdict(False, f"epoch {epoch}: differs: {error.found}")
        name = f"epoch {epoch}" if inputs.epoch == epoch else f"epoch {epoch}, which repeats epoch {inputs.epoch}"
        reasons = reasons or _other_picks(recorded, self._selection(inputs))
        if reasons:
            return Verdict(False, f"{name}: differs: {'; '.join(reasons)}")
        what = f"{len(recorded.index):,} negatives by {self.config.strategy.name}, weights of epoch {inputs.version}"
        return Verdict(True, f"{name}: the same bit for bit: {what}")

    def _require_turn(self, made: Json, epoch: int) -> None:
        """Raise BadData for the file of another epoch: one repeats a selection only within `sampling.every` epochs."""
        maker, first = made.get("epoch", epoch), epoch - epoch % self.config.sampling.every
        if not isinstance(maker, int) or not first <= maker <= epoch:
            expected = f"the one of epoch {first}"
            raise BadData(f"the selection made for epoch {maker} in the file of epoch {epoch}", expected, "restore it")

    def _inputs(self, made: Json, epoch: int) -> SelectionInputs:
        """The weights and state that are kept for a selection. Raises BadData for a damaged file."""
        if "epoch" not in made:
            found = f"a selection of epoch {epoch} without a record of what made it"
            raise BadInput(found, "one that this version wrote", "train again in another folder")
        maker, kept = made["epoch"], self.folder.inputs_of
        if maker not in kept:
            found = f"no weights kept of the selection made for epoch {maker}"
            raise BadInput(found, f"one of epochs {kept}", "train with training.keep_weights=all")
        name = INPUTS.format(maker)
        try:
            return SelectionInputs.from_state(self.folder.load_state(name))
        except (LookupError, TypeError, AttributeError) as error:
            raise self.folder.damaged(name, repr(error)) from None

    def _selection(self, inputs: SelectionInputs) -> Selection:
        sampler = self.runner.sampler(self.config, self.runner.split(self.config.data))
        sampler.load_state_dict(inputs.asked)
        pending = sampler.submit(inputs.weights, inputs.epoch, inputs.version)
        sampler.load_state_dict(inputs.answered)
        return pending.result()

    @functools.cached_property
    def _origin(self) -> Json:
        data = self.config.data
        return origin(self.config, self.runner.split(data), self.runner.digests(data))


def stored_config(folder: RunFolder) -> RunConfig:
    """The configuration of the run in a folder. Raises BadInput without a run, and for what is no configuration."""
    stored = folder.config
    if stored is None:
        raise BadInput(f"no run in {folder.path}", "a run's folder, with its config.json", "name one")
    try:
        return updated(RunConfig(str(stored.pop("recipe", ""))), stored)
    except BadInput as error:
        raise BadInput(f"{error.found} in {folder.path / 'config.json'}", error.expected, error.remedy) from None


def _epochs(folder: RunFolder, epoch: int | None) -> list[int]:
    """The epochs to try."""
    recorded = folder.selections_of
    if epoch is not None and epoch not in recorded:
        known = f"an epoch from 0 to {recorded[-1]}" if recorded else "a run that has trained an epoch"
        raise BadInput(f"no selection of epoch {epoch} in {folder.path}", known, "name another")
    kept = folder.inputs_of
    epochs = [one for one in kept if one in recorded or one < max(recorded, default=0)] if epoch is None else [epoch]
    if not epochs:
        found = f"no {'selections' if kept else 'weights kept'} in {folder.path}"
        raise BadInput(found, "a selection and its weights at least", "train again, which keeps the last ones")
    return epochs


def _differing(made: Json, now: Json) -> list[str]:
    """What is not as it was when the selection was made."""
    before, after = flat(made), flat(now)
    keys = [key for key in before | after if before.get(key) != after.get(key)]
    return [f"{key} {_short(after.get(key))}, not the recorded {_short(before.get(key))}" for key in keys]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _other_picks(recorded: RecordedSelection, made: Selection) -> list[str]:
    """How the selections differ, if they do."""
    if recorded.equals(made):
        return []
    others = len(np.setdiff1d(made.index, recorded.index))
    what = f"{others} of {len(made.index)} negatives are others" if others else "the same negatives, other scores"
    return [f"{what}, though all digests agree: other hardware or libraries round differently"]
