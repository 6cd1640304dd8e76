"""`negsift train`: its arguments."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from negsift.deploy.jobs.inside import require_lasting
from negsift.deploy.settings import Parser, a_path, configured

if TYPE_CHECKING:
    from negsift.deploy.run_config import RunConfig

log = logging.getLogger(__name__)


def add_train_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to those of the command line."""
    train = commands.add_parser(
        "train", help="one run; the same command resumes it", usage="negsift train RECIPE [KEY=VALUE ...] [OPTION ...]",
        description="Train a recipe, for example `negsift train digits strategy.name=badge seed=1`. FILE can be the "
        "config.json of a run.",
    )  # fmt: skip
    add_train_arguments(train)
    train.add_argument("--dry-run", action="store_true", help="say what would run, and where on the cluster")
    train.set_defaults(do=_train)


def add_train_arguments(train: Parser) -> None:
    """What says which run it is, and where its files are."""
    train.add_argument("recipe", metavar="RECIPE", help="a name of `negsift list recipes`")
    train.take_settings("keys")
    train.add_argument("--out", type=a_path, metavar="DIR", help="the run's folder (runs/RECIPE-… by configuration)")


def configured_run(arguments: argparse.Namespace) -> "RunConfig":
    """The run that the arguments describe. Raises BadInput for settings that don't fit, or would not be read."""
    from negsift.deploy.auto_strategy import with_strategy
    from negsift.deploy.fit import check_fit, check_given
    from negsift.deploy.recipes import recipe

    config = with_strategy(configured(recipe(arguments.recipe), arguments))
    check_fit(config)
    check_given([config], arguments.set)
    return config


def _train(arguments: argparse.Namespace) -> None:
    from negsift.deploy.run_config import default_folder

    config = configured_run(arguments)
    require_lasting(arguments.out)
    out: Path = arguments.out or default_folder(config)
    if arguments.dry_run or not config.data.target:  # which data without one are refused for, before they are read
        from negsift.common.data.check_config import check_target

        check_target(config.data)
    if arguments.dry_run:
        from negsift.deploy.dry_run import describe_run

        print(describe_run(config, out))
        return
    say: Callable[[str], None] = print
    if config.log.format == "json":
        from negsift.deploy.json_lines import log_as_json

        log_as_json()
        say = log.info
    from negsift.deploy.train import train  # not before the settings are known to be usable

    say(train(config, out))
