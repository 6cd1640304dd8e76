"""Runs trials side by side on Ray Tune, which places them and stops them; what they did is in their folders."""

import functools
import io
import logging
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler

from negsift.common.environment import unchanged_environment
from negsift.common.errors import NegsiftError
from negsift.deploy.run import Runner, Shared
from negsift.deploy.sweep.folder import SweepFolder
from negsift.deploy.sweep.progress import SweepProgress
from negsift.deploy.sweep.trial import TrialSpec
from negsift.service.sampler import NegativeSampler

VAL_AP, EPOCH = "val.ap", "epoch"
_RESTARTS = 2
"""How often a trial whose process is lost is started again; it goes on after its last epoch."""


@dataclass(frozen=True)
class Placement:
    """What a trial takes of the cluster, and how many run at once at most; 0: as many as fit."""

    cpus: float
    gpus: float
    parallel: int


@dataclass(frozen=True)
class Work:
    """What a trial's process needs to know. `samplers` are those whose shards all trials use."""

    folder: SweepFolder
    trials: Mapping[str, TrialSpec]
    samplers: Mapping[Shared, NegativeSampler]


class TuneLogger:
    """Passes each epoch's validation AP to Tune."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Report the epoch, unless it has no validation AP: then it is the run's end."""
        if VAL_AP in values:
            tune.report({VAL_AP: values[VAL_AP], EPOCH: step})

    def close(self) -> None:
        """Nothing is open."""


class _Watcher(Callback):
    """Passes on to the progress what Tune tells of its trials."""

    def __init__(self, trials: Mapping[str, TrialSpec], progress: SweepProgress) -> None:
        self._trials, self._progress = trials, progress

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._progress.begin(self._trial(trial))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        if VAL_AP in result:
            self._progress.report(self._trial(trial), result[EPOCH], result[VAL_AP])

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._progress.end(self._trial(trial))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._progress.end(self._trial(trial))

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return {}  # Tune saves its callbacks, which only restoring would read

    def _trial(self, trial: TuneTrial) -> TrialSpec:
        return self._trials[trial.config["trial"]]


def run_trials(
    work: Work, placement: Placement, progress: SweepProgress, scheduler: TrialScheduler | None = None
) -> None:
    """Run the trials to their ends. Those that fail are recorded in their folders, and the others go on."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors of trials are told by the sweep
    resources = {"cpu": placement.cpus, "gpu": placement.gpus}
    trainable = tune.with_resources(tune.with_parameters(run_trial, work=work), resources)
    space = {"trial": tune.grid_search(list(work.trials))}
    tuning = TuneConfig(
        max_concurrent_trials=placement.parallel or None, scheduler=scheduler, metric=VAL_AP, mode="max",
        reuse_actors=True,
    )  # fmt: skip
    watcher, failing = _Watcher(work.trials, progress), FailureConfig(_RESTARTS)
    with unchanged_environment(), TemporaryDirectory(prefix="negsift-sweep-") as scratch:  # never read again
        # Ctrl-C ends this process as any other; Tune writes no files of its own beside the trials'.
        os.environ |= {"TUNE_DISABLE_SIGINT_HANDLER": "1", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
        os.environ |= {"RAY_CHDIR_TO_TRIAL_DIR": "0", "TUNE_WARN_THRESHOLD_S": "60"}
        running = RunConfig(storage_path=scratch, verbose=0, failure_config=failing, callbacks=[watcher])
        with redirect_stdout(io.StringIO()):  # its own tables, which no verbosity turns off
            results = Tuner(trainable, param_space=space, tune_config=tuning, run_config=running).fit()
        for result in (results[number] for number in range(len(results))):
            if result.error is not None and result.config is not None:
                work.folder.fail(work.trials[result.config["trial"]], result.error)


def run_trial(setting: Mapping[str, str], work: Work) -> None:
    """One trial, in a process of its own. An error that a restart would repeat is recorded, and no error for Tune."""
    trial = work.trials[setting["trial"]]
    runner = _runner()
    runner.adopt(work.samplers)
    runner.keep_only(trial.config)
    try:
        runner.run(trial.config, work.folder.run(trial).path, loggers=(TuneLogger(),))
    except NegsiftError as error:
        work.folder.fail(trial, error)


@functools.cache
def _runner() -> Runner:
    """The runner of this process: trials of the same bags that follow each other in it share them and their shards."""
    logging.basicConfig(level=logging.WARNING)
    return Runner()
