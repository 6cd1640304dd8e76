"""`negsift plan`: its arguments."""

import argparse
from dataclasses import fields

from negsift.deploy.plan.amounts import amount, whole_amount
from negsift.deploy.settings import Parser


def add_plan_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to those of the command line."""
    plan = commands.add_parser(
        "plan", help="memory, network and seconds that a run would take",
        usage="negsift plan RECIPE [KEY=VALUE ...] [OPTION ...]",
        description="Size a run before machines are rented. N is a number such as 1e8, 100M or 64GiB.",
    )  # fmt: skip
    plan.add_argument("recipe", metavar="RECIPE", help="a name of `negsift list recipes`")
    plan.take_settings("keys")
    plan.add_argument("--bags", type=whole_amount, required=True, metavar="N", help="negative bags in the pool")
    more = {
        "--positives": (whole_amount, "positive bags (1 for 100 of the pool)"),
        "--bag-bytes": (amount, "bytes of a decoded bag (the recipe's, or the table's)"),
        "--features": (whole_amount, "numbers of an instance, for a table that isn't there yet"),
        "--gpus": (amount, "GPUs that score (this machine's)"),
        "--cpus": (amount, "CPU cores that score, in place of GPUs"),
        "--nodes": (whole_amount, "nodes that they are on (1)"),
        "--node-memory": (amount, "bytes of memory of a node, to say what does not fit"),
        "--rate": (amount, "bags a second of one scorer (measured here)"),
        "--train-rate": (amount, "bags a second of a trainer (measured here)"),
    }
    for option, (kind, line) in more.items():
        plan.add_argument(option, type=kind, metavar="N", help=line)
    plan.set_defaults(do=_plan)


def _plan(arguments: argparse.Namespace) -> None:
    from negsift.deploy.train_command import configured_run

    config = configured_run(arguments)
    from negsift.deploy.plan.asked import Asked
    from negsift.deploy.plan.page import plan_page
    from negsift.deploy.plan.plan import make_plan

    given = {field.name: getattr(arguments, field.name) for field in fields(Asked)}
    print(plan_page(make_plan(config, Asked(**given))))
