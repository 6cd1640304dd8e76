"""`serve up`, `serve status`, `serve down`: the service for one bag table that many runs share."""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from negsift.common.errors import BadInput
from negsift.deploy.settings import configured
from negsift.deploy.text_table import text_table
from negsift.service.cluster.address import require_address


def add_serve_commands(commands: Any) -> None:  # Any: argparse keeps its type private
    """The parsers of `serve` and its own commands."""
    serve = commands.add_parser("serve", help="a service for one bag table, shared by many runs")
    below = serve.add_subparsers(required=True, metavar="up|status|down", parser_class=type(serve))
    up = below.add_parser(
        "up", help="start one", usage="negsift serve up POOL [KEY=VALUE ...] [OPTION ...]",
        description="Start a service; KEY is a key that `negsift list keys` has below fleet, without `fleet.`",
    )  # fmt: skip
    up.add_argument("pool", metavar="POOL", help="folder or URI of a bag table")
    up.add_argument("--name", help="the service's name (the table's)")
    for key in ("shards", "gpus_per_shard"):
        option, spell = f"--{key.replace('_', '-')}", f"{key}={{}}".format
        up.add_argument(option, dest="set", action="append", type=spell, metavar="N", help=f"the same as {key}=N")
    up.add_argument("--detached", action="store_true", help="leave it running when this command ends")
    up.add_argument("--idle-minutes", type=float, default=0.0, metavar="N", help="end it when unused for N (0: never)")
    up.take_settings("keys")
    up.set_defaults(do=_up)
    status = below.add_parser("status", help="shards, nodes, memory, versions, tasks, rounds, lags")
    down = below.add_parser("down", help="end one")
    for other, do in ((status, _status), (down, _down)):
        other.add_argument("name", nargs="?", metavar="NAME", help="the service (the only one)")
        other.set_defaults(do=do)


def _up(arguments: argparse.Namespace) -> None:
    from negsift.service.config import FleetConfig

    if not arguments.idle_minutes >= 0:  # nan is refused, too
        raise BadInput(f"--idle-minutes {arguments.idle_minutes:g}", "0 or more", "leave it out for no limit")
    config = configured(FleetConfig(kind="ray"), arguments)
    pool = arguments.pool if "://" in arguments.pool else str(Path(os.path.expanduser(arguments.pool)).absolute())
    name = arguments.name or Path(pool.rstrip("/")).name
    from negsift.service.serving import directory  # not before the settings are known to be usable

    actor = directory.start(pool, name, config, arguments.idle_minutes * 60, detached=arguments.detached)
    try:
        print(describe(directory.ask(actor)), flush=True)
        print(f"{name} is up at RAY_ADDRESS={directory.address()}", flush=True)
        if not arguments.detached:
            print(directory.await_end(actor, name))
    except KeyboardInterrupt:
        if arguments.detached:
            raise
        print(f"{directory.stop(name)} has ended")


def _status(arguments: argparse.Namespace) -> None:
    require_address("finding a service")
    from negsift.service.serving import directory

    print(describe(directory.ask(directory.find(arguments.name))))


def _down(arguments: argparse.Namespace) -> None:
    require_address("finding a service")
    from negsift.service.serving import directory

    print(f"{directory.stop(arguments.name)} has ended")


def describe(status: dict[str, Any]) -> str:  # Any: numbers and strings
    """A service's status as small tables."""
    idle = f", ends after {status['idle_limit_s'] / 60:g} idle minutes" if status["idle_limit_s"] else ""
    up = f"up {(time.time() - status['since']) / 60:.0f} min, idle {status['idle_s']:.0f} s{idle}"
    running = f"running {status['running'] or 'nothing'}, waiting {sum(status['waiting'].values())}"
    head = [
        f"{status['name']}: {status['pool']}, version {status['newest']}, {status['bags']:,} bags",
        f"{up}; {running}; coordinator {_mb(status['memory_bytes'])}",
    ]
    shards = [
        [shard["name"], shard["node"][:8], shard["pid"], _mb(shard["memory_bytes"]), shard["shards"],
         _mb(shard["kept_bytes"])]
        for shard in status["shards"]
    ]  # fmt: skip
    tasks = [
        [task["task"], task["target"] or "-", task["strategy"], task["model"][:6], task["pool_version"],
         task["rounds"], task["epoch"], "-" if task["version"] is None else task["version"], task["behind"],
         f"{task['seconds']:.2f} s", f"{task['wait_s']:.2f} s", f"{task['publish_s']:.2f} s",
         f"{task['overlap']:.0%}", f"{task['covered']:.0%}", "gone" if task["lost"] else "-"]
        for task in status["tasks"]
    ]  # fmt: skip
    of_shards = "shard node pid memory pools embeddings"
    of_tasks = (
        "task target strategy model pool rounds epoch weights behind took waited published overlap covered program"
    )
    return "\n".join([*head, *text_table(of_shards, shards), *(text_table(of_tasks, tasks) or ["no tasks"])])


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
