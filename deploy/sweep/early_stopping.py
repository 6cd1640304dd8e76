"""Stops trials early by asynchronous successive halving, among those trained on the same bags."""

from collections.abc import Mapping
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from negsift.deploy.sweep.folder import SweepFolder
from negsift.deploy.sweep.trial import TrialSpec
from negsift.deploy.sweep.tuning import EPOCH, VAL_AP

_REDUCTION = 3
"""Of the trials that reach a rung, all but this share are stopped (Li et al. 2020, arXiv 1810.05934)."""


class EarlyStopping(FIFOScheduler):
    """ASHA for each set of bags: AP of other classes and bags says nothing of how good a trial is."""

    def __init__(self, folder: SweepFolder, trials: Mapping[str, TrialSpec]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._folder, self._trials = folder, trials
        self._groups: dict[str, ASHAScheduler] = {}

    def on_trial_add(self, tune_controller: TuneController, trial: TuneTrial) -> None:
        """Put the trial into its group."""
        self._group(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: TuneController, trial: TuneTrial, result: dict[str, Any]) -> str:
        """STOP if the trial is among the worse of its group at this epoch, else CONTINUE."""
        if EPOCH not in result:  # Tune's own last result
            return str(self.CONTINUE)
        epochs = result[EPOCH] + 1  # ASHA counts from 1
        decision = str(self._group(trial).on_trial_result(tune_controller, trial, {**result, EPOCH: epochs}))
        if decision == self.STOP:
            self._folder.stop(self._trials[trial.config["trial"]], f"among the worse after {epochs} epochs (ASHA)")
        return decision

    def _group(self, trial: TuneTrial) -> ASHAScheduler:
        one = self._trials[trial.config["trial"]]
        epochs = one.config.training.epochs
        if one.group not in self._groups:
            self._groups[one.group] = ASHAScheduler(
                EPOCH, VAL_AP, "max", max_t=epochs, grace_period=max(1, epochs // _REDUCTION**2),
                reduction_factor=_REDUCTION, stop_last_trials=False,
            )  # fmt: skip
        return self._groups[one.group]
