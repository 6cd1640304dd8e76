"""The commands: what each takes and does. What a command runs is imported when it runs: help needs none of it."""

import argparse
import logging
import sys
from pathlib import Path

from negsift.deploy.dashboard_command import add_dashboard_command
from negsift.deploy.job_commands import add_job_commands
from negsift.deploy.plan_command import add_plan_command
from negsift.deploy.pool import add_pool_commands
from negsift.deploy.serve import add_serve_commands
from negsift.deploy.settings import Parser, a_path
from negsift.deploy.sweep_command import add_sweep_command
from negsift.deploy.train_command import add_train_command
from negsift.deploy.versions import own_version


def run_command(words: list[str]) -> int:
    """Parse the words, do what they ask and return the exit code; raises BadInput for anything that can't be done."""
    arguments = parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.raiseExceptions = False  # a reader that is gone, or a full disk, must not end a run
    return int(arguments.do(arguments) or 0)


def parser() -> Parser:
    """All commands and their arguments."""
    top = Parser(prog="negsift", description="Choose, every epoch, the negative bags worth training on.")
    top.add_argument("--version", action="version", version=f"negsift {own_version()}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    demo = commands.add_parser("demo", help="four strategies on handwritten digits, chosen by Ray actors")
    demo.add_argument(
        "--out", type=a_path, default=Path("runs/demo"), metavar="DIR", help="the runs' folder (runs/demo)"
    )
    demo.set_defaults(do=_demo)
    listing = commands.add_parser("list", help="recipes, strategies, datasets, models, metrics, keys")
    listing.add_argument(
        "part", nargs="?", metavar="PART",
        help="recipes, studies, strategies, datasets, models, poolings, metrics, keys, sources or build-keys (all)",
    )  # fmt: skip
    listing.set_defaults(do=_list)
    add_train_command(commands)
    add_sweep_command(commands)
    add_plan_command(commands)
    replay = commands.add_parser(
        "replay", help="make a run's recorded selections again, and say whether they are the same",
        description="Exit code 0: the same bit for bit; 1: one differs, with what differs.",
    )  # fmt: skip
    replay.add_argument("folder", type=a_path, metavar="RUN", help="a run's folder")
    replay.add_argument("--epoch", type=int, metavar="N", help="the selection of epoch N (all whose weights are kept)")
    replay.add_argument("--shards", type=int, metavar="S", help="shards to score on (the run's own number)")
    replay.add_argument("--fleet", choices=("local", "ray"), help="where to score (where the run did)")
    replay.set_defaults(do=_replay)
    report = commands.add_parser("report", help="one HTML file of a run or of several")
    report.add_argument("folder", type=a_path, metavar="DIR", help="a run's folder, or one that holds some")
    report.add_argument("--markdown", action="store_true", help="print the table of several runs instead")
    report.set_defaults(do=_report)
    add_pool_commands(commands)
    add_serve_commands(commands)
    add_job_commands(commands)
    add_dashboard_command(commands)
    return top


def _demo(arguments: argparse.Namespace) -> None:
    from negsift.deploy.demo import run_demo

    run_demo(arguments.out)


def _list(arguments: argparse.Namespace) -> None:
    from negsift.deploy.listing import catalogue

    print(catalogue(arguments.part))


def _replay(arguments: argparse.Namespace) -> int:
    from negsift.deploy.replay import replay

    all_same = True
    for verdict in replay(arguments.folder, arguments.epoch, arguments.fleet, arguments.shards):
        print(verdict.line, flush=True)
        all_same &= verdict.same
    return int(not all_same)


def _report(arguments: argparse.Namespace) -> None:
    from negsift.deploy.run import Runner
    from negsift.trainer.report import folder_markdown, write_report

    if arguments.markdown:
        print(folder_markdown(arguments.folder), end="")
    else:
        print(write_report(arguments.folder, Runner().bags_of))
