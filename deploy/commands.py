"""The commands: what each takes and does."""

import argparse
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import NoReturn

from negsift.common.config import keys, override, to_dict, values
from negsift.common.data.catalogue import DATASETS
from negsift.common.errors import BadInput
from negsift.common.models.encoders import MODELS
from negsift.common.models.pooling import POOLINGS
from negsift.common.models.psla import CLIP_MODELS
from negsift.common.models.vectors import VECTOR_MODELS
from negsift.deploy.demo import run_demo
from negsift.deploy.pool import add_pool_commands
from negsift.deploy.recipes import RECIPES, RunConfig, recipe
from negsift.deploy.run import Workshop
from negsift.deploy.serve import add_serve_commands
from negsift.service.strategies import STRATEGIES
from negsift.trainer.folder import Json
from negsift.trainer.metrics import METRICS
from negsift.trainer.report import write_report


def run_command(arguments: list[str]) -> None:
    """Parse the arguments and do what they ask; raises BadInput for anything that can't be done."""
    chosen = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.raiseExceptions = False  # a reader that is gone, or a full disk, must not end a run
    chosen.do(chosen)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise BadInput(f"arguments that don't fit ({message})", self.format_usage().strip(), f"see {self.prog} --help")


def parser() -> Parser:
    """All commands and their arguments."""
    top = Parser("python -m deploy", description="Choose, every epoch, the negative bags worth training on.")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    demo = commands.add_parser("demo", help="four strategies on handwritten digits, chosen by Ray actors")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the runs (%(default)s)")
    demo.set_defaults(do=lambda given: run_demo(given.out))
    listing = commands.add_parser("list", help="recipes, strategies, datasets, models, metrics and keys for --set")
    listing.set_defaults(do=lambda given: print(catalogue()))
    train = commands.add_parser("train", help="one run; the same command resumes it")
    train.add_argument("recipe", metavar="RECIPE", help=", ".join(RECIPES))
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of `list`, repeatable")
    train.add_argument("--out", type=Path, help="the run's folder (runs/RECIPE-… by configuration)")
    train.set_defaults(do=_train)
    report = commands.add_parser("report", help="one HTML file of a run or of several")
    report.add_argument("folder", type=Path, metavar="DIR", help="a run's folder, or one that holds some")
    report.set_defaults(do=lambda given: print(write_report(given.folder, Workshop().bags_of)))
    add_pool_commands(commands)
    add_serve_commands(commands)
    return top


def _train(given: argparse.Namespace) -> None:
    config = override(recipe(given.recipe), given.set)
    out = given.out or default_folder(config)
    with Workshop() as workshop:
        summary = workshop.run(config, out)
    page = write_report(out, workshop.bags_of)
    print(f"{describe(summary)}\n{page}")


def default_folder(config: RunConfig) -> Path:
    """A folder named after the recipe, with a hash of the configuration, so that the same command finds it again."""
    text = json.dumps(to_dict(config), sort_keys=True)
    tag = hashlib.blake2b(text.encode(), digest_size=3).hexdigest()
    return Path("runs") / f"{config.recipe}-{config.strategy.name}-seed{config.seed}-{tag}"


def describe(summary: Json) -> str:
    """A run's result in one line."""
    test, last = summary["test"], summary["last"]
    return (
        f"{summary['strategy']}: test AP {_number(test['ap'])}, ROC-AUC {_number(test['roc_auc'])} at epoch "
        f"{summary['best_epoch']}, the best in validation (last: {_number(last['ap'])}, {_number(last['roc_auc'])})"
    )


def _number(value: float | None) -> str:
    """Four digits; a measure that isn't defined on the test bags is NaN, or null once it is in a file."""
    return "undefined" if value is None or value != value else f"{value:.4f}"


def catalogue() -> str:
    """All tables with their one-line explanations."""
    models = {name: line for name, (_, line) in MODELS.items()}
    models |= {name: line for name, (_, line) in VECTOR_MODELS.items()}
    models |= {name: line for name, (_, _, line) in CLIP_MODELS.items()}
    tables = {
        "recipes": {name: f"{_first_line(make)}{_changes(make())}" for name, make in RECIPES.items()},
        "strategies": {name: _first_line(kind) for name, kind in STRATEGIES.items()},
        "datasets": {name: line for name, (_, line) in DATASETS.items()},
        "models": models,
        "poolings": POOLINGS,
        "metrics": METRICS,
        "keys for --set, with their defaults": _with_defaults(),
    }
    return "\n\n".join(_table(title, lines) for title, lines in tables.items())


def _with_defaults() -> dict[str, str]:
    default = values(RunConfig(""))
    return {name: f"{line} ({default[name]})" for name, line in keys(RunConfig).items()}


def _changes(config: RunConfig) -> str:
    """What a recipe sets to something other than the default."""
    default = values(RunConfig(""))
    changed = [f"{name}={value}" for name, value in values(config).items() if value != default[name]]
    return f" Sets {', '.join(changed)}." if changed else ""


def _table(title: str, lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join([title, *(f"  {name:{width}}  {line}" for name, line in lines.items())])


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
