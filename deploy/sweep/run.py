"""What `negsift sweep` does: run the trials that are not finished, then write what all of them gave."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from negsift.common.data.catalogue import class_in
from negsift.common.data.check_config import check_target
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.errors import BadData, BadInput, Interrupted, ServiceError
from negsift.common.folder_lock import sole_user
from negsift.deploy.run import Runner, Shared
from negsift.deploy.sweep.folder import SweepFolder, TrialState
from negsift.deploy.sweep.progress import SweepProgress, duration
from negsift.deploy.sweep.study import Study
from negsift.deploy.sweep.trial import TrialSpec
from negsift.deploy.sweep.tuning import Placement, Work, run_trials
from negsift.service.cluster.connect import connect
from negsift.service.cluster.reservation import reserved
from negsift.service.cluster.resources import total_resources
from negsift.service.cluster.shared_folder import require_seen, require_shared
from negsift.service.sampler import NegativeSampler
from negsift.trainer.folder import RunFolder
from negsift.trainer.report import write_report
from negsift.trainer.report.markdown import results_markdown
from negsift.trainer.results.files import write_results
from negsift.trainer.results.outcome import FILE
from negsift.trainer.results.trials import runs_of


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run; none of it changes the result of a trial."""

    placement: Placement
    asha: bool = False
    yes: bool = False
    command: str = ""


def run_sweep(study: Study, out: Path, options: SweepOptions) -> None:
    """Run what is missing in the folder `out`, then print the results and the report's path.

    Raises ServiceError if a trial failed, once all others have ended; Interrupted on Ctrl-C.
    """
    trials = study.trials(options.yes)
    folder = SweepFolder(out.resolve())
    RunFolder(folder.path).require_writable()
    folder.require_recipe(study.base.recipe)
    folder.require_places(trials.values())
    missing = _missing(folder, trials, options.asha)
    _require_data(missing, [*folder.data(), *(trial.config.data for trial in trials.values())])
    with ExitStack() as held:
        if missing:
            _join(folder, {trial.config.data for trial in missing.values()})
            held.enter_context(sole_user(folder.path))
        folder.claim({"recipe": study.base.recipe, "command": options.command})
        print(_plan(trials, missing, folder))
        try:
            if missing:
                _run(folder, missing, options)
        except KeyboardInterrupt:
            raise Interrupted(_kept(folder, trials)) from None
    if any(folder.state(trial) is TrialState.FINISHED for trial in trials.values()):
        print(_results(study, folder))
    _require_success(folder, trials)


def _results(study: Study, folder: SweepFolder) -> str:
    """Write the results of all trials in the folder; the tables and the report's path, to be read."""
    results = write_results(folder.path)
    outcome = study.outcome(runs_of(results.trials))
    if study.claims:
        RunFolder(folder.path).write_json(FILE, outcome.as_json())
    report = write_report(folder.path, Runner().bags_of)
    return f"{results_markdown(results, outcome)}\nreport: {report}"


def dry_run(study: Study, out: Path, options: SweepOptions) -> str:
    """How many trials there are, what is there already, and how long the rest takes by the trials that are finished."""
    trials, folder = study.trials(options.yes), SweepFolder(out.resolve())
    folder.require_recipe(study.base.recipe)
    folder.require_places(trials.values())
    missing = _missing(folder, trials, options.asha)
    for data in dict.fromkeys(trial.config.data for trial in missing.values()):
        check_target(data)
    finished = [folder.run(trial) for name, trial in trials.items() if name not in missing]
    seconds = [summary["seconds"]["total"] for run in finished if (summary := run.summary)]
    if not missing:
        return _plan(trials, missing, folder)
    if not seconds:
        return f"{_plan(trials, missing, folder)}\nhow long they take is known once one is finished"
    left = duration(sum(seconds) / len(seconds) * len(missing))
    return f"{_plan(trials, missing, folder)}\n{left} of training, by the {len(seconds)} finished, one after another"


def _require_data(missing: Mapping[str, TrialSpec], compared: Sequence[DataConfig]) -> None:
    """Decode the data before trials do so side by side. Raises BadData for data that none of them could read, BadInput
    for two targets of those `compared` that are one class.
    """
    for data in dict.fromkeys(trial.config.data for trial in missing.values()):
        try:
            split = Runner().split(data)
        except BadData:
            raise
        except BadInput:  # of these trials alone, such as a class that isn't there: they fail by themselves
            continue
        same = [other.target for other in compared if replace(other, target=data.target) == data]
        _require_classes_once(split, same)
        return


def _require_classes_once(split: Split, targets: Iterable[str]) -> None:
    """Raise BadInput for two targets that mean one class, whose runs would count as two of them."""
    called: dict[int, str] = {}
    for target in targets:
        try:
            number = class_in(split, target)
        except BadInput:  # its trials fail by themselves
            continue
        other = called.setdefault(number, target)
        if other != target:
            found = f"data.target={other} and data.target={target}, both class {split.pool.instances.classes[number]}"
            raise BadInput(found, "each class by one name", "leave one out, or choose another --out")


def _join(folder: SweepFolder, data: Iterable[DataConfig]) -> None:
    """Connect to the cluster. Raises BadInput if a node, where a trial may run, does not see the folder or the data."""
    connect()
    require_shared(folder.path, "--out")
    for root in {config.root for config in data if config.root and "://" not in config.root}:
        require_seen(Path(os.path.expanduser(root)), "data.root")


def _run(folder: SweepFolder, missing: Mapping[str, TrialSpec], options: SweepOptions) -> None:
    placement = _fitted(options.placement)
    _require_room(placement)
    with Runner() as runner:
        work = Work(folder, missing, _shared(runner, missing.values(), placement))
        for trial in missing.values():
            folder.start(trial)
        scheduler = None
        if options.asha:
            from negsift.deploy.sweep.early_stopping import EarlyStopping

            scheduler = EarlyStopping(folder, missing)
        with SweepProgress(folder, len(missing), _parallel(placement)) as progress:
            run_trials(work, placement, progress, scheduler)


def _shared(runner: Runner, trials: Iterable[TrialSpec], placement: Placement) -> dict[Shared, NegativeSampler]:
    """A sampler for each pool whose trials score on Ray: the trials use the same scorers, which leave them room."""
    samplers: dict[Shared, NegativeSampler] = {}
    each = {kind: amount for kind, amount in (("CPU", placement.cpus), ("GPU", placement.gpus)) if amount}
    for config in (trial.config for trial in trials if trial.config.fleet.kind == "ray"):
        shared = (config.data, config.model, config.fleet)
        if shared not in samplers:
            at_once = max(1, min(placement.parallel, _parallel(placement)))
            with reserved(at_once, each, config.fleet.start_s):
                samplers[shared] = runner.share(config)
    return samplers


def _fitted(placement: Placement) -> Placement:
    """The placement with a GPU for each trial where the cluster has any and none was asked for."""
    if placement.gpus < 0:
        return replace(placement, gpus=1.0 if total_resources().get("GPU") else 0.0)
    return placement


def _require_room(placement: Placement) -> None:
    """Raise BadInput for trials of which the cluster can hold none, which Tune would wait for without end."""
    have = total_resources()
    if placement.gpus > have.get("GPU", 0.0) or placement.cpus > have.get("CPU", 0.0):
        found = f"--cpus {placement.cpus:g} --gpus {max(0.0, placement.gpus):g} on a cluster with "
        found += f"{have.get('CPU', 0.0):g} CPU and {have.get('GPU', 0.0):g} GPU"
        raise BadInput(found, "room for one trial", "lower them, or add nodes")


def _parallel(placement: Placement) -> int:
    have = total_resources()
    fit = int(have.get("CPU", 0) / placement.cpus) if placement.cpus else 1
    fit = min(fit, int(have.get("GPU", 0) / placement.gpus)) if placement.gpus else fit
    return min(fit, placement.parallel) if placement.parallel else fit


def _missing(folder: SweepFolder, trials: Mapping[str, TrialSpec], asha: bool) -> dict[str, TrialSpec]:
    """The trials to run: neither finished nor, with ASHA, stopped by an earlier one."""
    ended = {TrialState.FINISHED, TrialState.STOPPED} if asha else {TrialState.FINISHED}
    return {name: trial for name, trial in trials.items() if folder.state(trial) not in ended}


def _plan(trials: Mapping[str, TrialSpec], missing: Mapping[str, TrialSpec], folder: SweepFolder) -> str:
    states = Counter(folder.state(trial) for trial in missing.values())
    words = {TrialState.BEGUN: "begun", TrialState.FAILED: "failed before", TrialState.DAMAGED: "damaged"}
    known = "".join(f", {states[state]} of them {word}" for state, word in words.items() if states[state])
    ended = len(trials) - len(missing)
    count = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
    return f"{count} in {folder.path}: {ended} ended, {len(missing)} to run{known}"


def _kept(folder: SweepFolder, trials: Mapping[str, TrialSpec]) -> str:
    ended = len(trials) - len(_missing(folder, trials, asha=False))
    return f"{ended} of {len(trials)} trials are finished in {folder.path}; the same command goes on"


def _require_success(folder: SweepFolder, trials: Mapping[str, TrialSpec]) -> None:
    failed = [trial for trial in trials.values() if not folder.state(trial).ended]
    for trial in failed:
        print(f"{trial.name} failed: {folder.why(trial)}")
    if failed:
        what = "1 trial" if len(failed) == 1 else f"{len(failed)} trials"
        raise ServiceError(
            f"{what} of {len(trials)} failed", "mend the causes above; the same command tries them again"
        )
