"""`negsift submit` and `negsift jobs`: runs and sweeps as jobs of a Ray cluster."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from negsift.deploy.settings import Parser
from negsift.deploy.sweep_command import a_share, add_sweep_arguments, configured_sweep
from negsift.deploy.train_command import add_train_arguments, configured_run

if TYPE_CHECKING:
    from negsift.deploy.run_config import RunConfig

_WEEK_S = 7 * 24 * 3600
_ADDRESS = "the dashboard of the cluster, as http://HEAD:8265 (RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or this machine's)"


def add_job_commands(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the commands to those of the command line."""
    line = "`train` or `sweep` as a job of a Ray cluster, followed"
    submit = commands.add_parser("submit", help=line)
    submit.mean_by_default("train", "sweep")
    below = submit.add_subparsers(required=True, metavar="train|sweep", parser_class=Parser)
    train = below.add_parser(
        "train", help="one run", usage="negsift submit [train] RECIPE [KEY=VALUE ...] --out DIR [OPTION ...]"
    )
    add_train_arguments(train)
    train.add_argument("--wait", action="store_true", help="wait for room on the cluster for a week")
    sweep = below.add_parser(
        "sweep", help="many", usage="negsift submit sweep NAME [KEY=VALUE ...] --out DIR [OPTION ...]"
    )
    add_sweep_arguments(sweep)
    for command, do in ((train, _submit_train), (sweep, _submit_sweep)):
        command.add_argument("--address", metavar="URL", help=_ADDRESS)
        command.add_argument("--detach", action="store_true", help="don't follow the job's log")
        for unit in ("cpus", "gpus"):
            line = f"{unit[:3].upper()}s kept for the job's first process (0)"
            command.add_argument(f"--own-{unit}", type=a_share, default=0.0, metavar="X", help=line)
        command.set_defaults(do=do)
    jobs = commands.add_parser("jobs", help="list a cluster's jobs, or follow, look at or stop one")
    below = jobs.add_subparsers(required=True, metavar="list|status|logs|stop", parser_class=Parser)
    for name, line in (("list", "all of negsift"), ("status", "one"), ("logs", "follow one"), ("stop", "end one")):
        command = below.add_parser(name, help=line)
        if name != "list":
            command.add_argument("job", metavar="JOB", help="its name, which `negsift jobs list` prints")
        command.add_argument("--address", metavar="URL", help=_ADDRESS)
        command.set_defaults(do=_jobs, what=name)


def _submit_train(arguments: argparse.Namespace) -> int:
    config = configured_run(arguments)
    from negsift.common.data.check_config import check_target
    from negsift.deploy.recipes import recipe

    check_target(config.data, here=False)
    words = ["train", config.recipe, *_changed(config, recipe(config.recipe))]
    words += [f"fleet.start_s={_WEEK_S}"] if arguments.wait else []
    facts = {"recipe": config.recipe, "strategy": config.strategy.name, "target": config.data.target}
    return _submit(arguments, words, facts)


def _submit_sweep(arguments: argparse.Namespace) -> int:
    study = configured_sweep(arguments)
    from negsift.common.data.check_config import check_target
    from negsift.deploy.studies import study_named

    for data in dict.fromkeys(trial.config.data for trial in study.trials(arguments.yes).values()):
        check_target(data, here=False)
    words = ["sweep", study.name, *_changed(study.base, study_named(study.name).base)]
    words += [f"--over={axis}" for axis in arguments.over]
    for option in ("seeds", "parallel", "cpus", "gpus"):
        value = getattr(arguments, option)
        words += [f"--{option}={value:g}"] if value is not None and value > 0 else []
    words += [f"--{option}" for option in ("asha", "yes") if getattr(arguments, option)]
    return _submit(arguments, words, {"recipe": study.name, "over": " ".join(arguments.over)})


def _changed(config: "RunConfig", base: "RunConfig") -> Iterator[str]:
    """The settings in which a configuration differs from another one, those of files included."""
    from negsift.common.overrides import values

    before = values(base)
    return (f"{key}={value}" for key, value in values(config).items() if value != before[key])


def _submit(arguments: argparse.Namespace, words: list[str], facts: dict[str, str]) -> int:
    from negsift.deploy.jobs.submit import Command, require_shared, submit

    command = Command([*words, "--out", str(require_shared(arguments.out))], facts)
    from negsift.deploy.jobs.follow import follow
    from negsift.deploy.jobs.server import job_server

    where = f" --address {arguments.address}" if arguments.address else ""
    with job_server(arguments.address) as client:
        job = submit(client, command, arguments.own_cpus, arguments.own_gpus)
        print(f"job {job}; its log: negsift jobs logs {job}{where}", flush=True)
        return 0 if arguments.detach else follow(client, job, where)


def _jobs(arguments: argparse.Namespace) -> int:
    from negsift.deploy.jobs.follow import follow
    from negsift.deploy.jobs.listing import describe, require_job, table
    from negsift.deploy.jobs.server import job_server

    where = f" --address {arguments.address}" if arguments.address else ""
    with job_server(arguments.address) as client:
        if arguments.what == "list":
            print(table(client.list_jobs()))
            return 0
        job = require_job(client, arguments.job)
        if arguments.what == "logs":
            return follow(client, arguments.job, where)
        if arguments.what == "stop":
            running = client.stop_job(arguments.job)
            print(f"{arguments.job} {'is being stopped' if running else 'has ended before'}")
        else:
            print(describe(job))
        return 0
