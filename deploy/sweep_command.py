"""`negsift sweep`: its arguments."""

import argparse
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from negsift.deploy.jobs.inside import require_lasting
from negsift.deploy.settings import Parser, a_path

if TYPE_CHECKING:
    from negsift.deploy.sweep.study import Study

log = logging.getLogger(__name__)


def add_sweep_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to those of the command line."""
    sweep = commands.add_parser(
        "sweep", help="many runs side by side, compared; it goes on, or grows",
        usage="negsift sweep NAME [KEY=VALUE ...] [OPTION ...]",
        description="Run every combination, for example `negsift sweep digits --over strategy.name=random,badge "
        "--seeds 5`. Finished trials are not repeated.",
    )  # fmt: skip
    add_sweep_arguments(sweep)
    sweep.add_argument("--dry-run", action="store_true", help="say what would run")
    sweep.set_defaults(do=_sweep)


def add_sweep_arguments(sweep: Parser) -> None:
    """What says which trials there are, and where they run."""
    sweep.add_argument("name", metavar="NAME", help="a recipe, or a study: see `negsift list recipes` and `studies`")
    sweep.take_settings("keys")
    sweep.add_argument("--over", action="append", default=[], metavar="KEY=VALUES", help="values that trials differ in")
    sweep.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (1; a study has its own)")
    sweep.add_argument("--out", type=a_path, metavar="DIR", help="the sweep's folder (runs/sweep-NAME)")
    sweep.add_argument("--parallel", type=_count, default=0, metavar="N", help="trials at once, at most (what fits)")
    sweep.add_argument("--cpus", type=a_share, default=1.0, metavar="X", help="CPU cores of a trial (1)")
    sweep.add_argument(
        "--gpus", type=a_share, default=-1.0, metavar="X", help="GPUs of a trial (1 where there are any)"
    )
    sweep.add_argument("--asha", action="store_true", help="stop worse trials early")
    sweep.add_argument("--yes", action="store_true", help="run more than 10,000 trials")


def configured_sweep(arguments: argparse.Namespace) -> "Study":
    """The study that the arguments describe. Raises BadInput for settings, axes or seeds that don't fit."""
    from negsift.common.data.check_config import require_root
    from negsift.deploy.fit import check_given
    from negsift.deploy.settings import configured
    from negsift.deploy.studies import study_named
    from negsift.deploy.sweep.grid import parse_axes

    study = study_named(arguments.name)
    study = study.on(lambda config: configured(config, arguments)).over(parse_axes(arguments.over), arguments.seeds)
    study.require_used(arguments.set)
    told = dict[str, None]()
    # What is wrong with the trials is told before torch and Ray are imported.
    trials = study.trials(arguments.yes, told.setdefault)
    for line in told:
        log.info(line)
    for trial in trials.values():
        require_root(trial.config.data)
    check_given([trial.config for trial in trials.values()], (*arguments.set, *arguments.over))
    return study


def _sweep(arguments: argparse.Namespace) -> None:
    study = configured_sweep(arguments)
    require_lasting(arguments.out)
    from negsift.deploy.sweep.run import SweepOptions, dry_run, run_sweep
    from negsift.deploy.sweep.tuning import Placement

    placement = Placement(arguments.cpus, arguments.gpus, arguments.parallel)
    options = SweepOptions(placement, arguments.asha, arguments.yes, shlex.join(["negsift", *sys.argv[1:]]))
    out = arguments.out or Path("runs") / f"sweep-{study.name}"
    if arguments.dry_run:
        print(dry_run(study, out, options))
    else:
        run_sweep(study, out, options)


def a_share(text: str) -> float:
    """A number of CPUs or GPUs: 0 or more."""
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}, which is no number of 0 or more")
    return value


def _count(text: str) -> int:
    """A number of trials: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}, which is no number of 1 or more")
    return value
