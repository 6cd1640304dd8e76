"""`serve up`, `serve status`, `serve down`: the service for one bag table that many runs share."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from negsift.common.config import keys, override
from negsift.common.errors import BadInput
from negsift.service.config import FleetConfig


def add_serve_commands(commands: Any) -> None:  # Any: argparse keeps its type private
    """The parsers of `serve` and its own commands."""
    serve = commands.add_parser("serve", help="a service for one bag table, shared by many runs")
    below = serve.add_subparsers(required=True, metavar="up|status|down", parser_class=type(serve))
    up = below.add_parser(
        "up", help="start one", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="keys for --set:\n" + "\n".join(f"  {key}: {line}" for key, line in keys(FleetConfig).items()),
    )  # fmt: skip
    up.add_argument("pool", metavar="POOL", help="folder or URI of a bag table")
    up.add_argument("--name", help="the service's name (the table's)")
    up.add_argument("--shards", type=int, help="shards of the pool (one a GPU of the cluster, or a core)")
    up.add_argument("--gpus-per-shard", type=float, help="GPUs of each shard, fractions allowed")
    up.add_argument("--detached", action="store_true", help="leave it running when this command ends")
    up.add_argument("--idle-minutes", type=float, default=0.0, help="end it when unused for so long (0: never)")
    up.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key below, repeatable")
    up.set_defaults(do=_up)
    status = below.add_parser("status", help="shards, nodes, memory, versions, tasks, rounds, lags")
    status.add_argument("name", nargs="?", metavar="NAME", help="the service (the only one)")
    status.set_defaults(do=_status)
    down = below.add_parser("down", help="end one")
    down.add_argument("name", nargs="?", metavar="NAME", help="the service (the only one)")
    down.set_defaults(do=_down)


def _up(given: argparse.Namespace) -> None:
    if given.idle_minutes < 0:
        raise BadInput(f"--idle-minutes {given.idle_minutes:g}", "0 or more", "leave it out for no limit")
    asked = {"shards": given.shards, "gpus_per_shard": given.gpus_per_shard}
    told = {key: value for key, value in asked.items() if value is not None}
    config = override(dataclasses.replace(FleetConfig(kind="ray"), **told), given.set)
    pool = given.pool if "://" in given.pool else str(Path(given.pool).expanduser().absolute())
    name = given.name or Path(pool.rstrip("/")).name

    from negsift.service.serving import directory  # imported here: the other commands need no Ray

    actor = directory.start(pool, name, config, given.idle_minutes * 60, detached=given.detached)
    if given.detached:
        _tell(actor, name)
        return
    try:
        _tell(actor, name)
        print(directory.await_end(actor, name))
    except KeyboardInterrupt:
        print(f"{directory.stop(name)} has ended")


def _tell(actor: Any, name: str) -> None:  # Any: an actor handle
    from negsift.service.serving import directory

    print(describe(directory.ask(actor)), flush=True)
    print(f"{name} is up at RAY_ADDRESS={directory.address()}", flush=True)


def _status(given: argparse.Namespace) -> None:
    from negsift.service.serving import directory

    print(describe(directory.ask(directory.find(given.name))))


def _down(given: argparse.Namespace) -> None:
    from negsift.service.serving import directory

    print(f"{directory.stop(given.name)} has ended")


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
        [
            each["name"],
            each["node"][:8],
            each["pid"],
            _mb(each["memory_bytes"]),
            each["shards"],
            _mb(each["kept_bytes"]),
        ]
        for each in status["shards"]
    ]
    tasks = [
        [
            each["task"], each["target"] or "-", each["strategy"], each["model"][:6], each["pool_version"],
            each["rounds"], each["epoch"], "-" if each["version"] is None else each["version"], each["behind"],
            f"{each['seconds']:.2f} s", f"{each['wait_s']:.2f} s", f"{each['publish_s']:.2f} s",
            f"{each['overlap']:.0%}", f"{each['covered']:.0%}",
        ]
        for each in status["tasks"]
    ]  # fmt: skip
    return "\n".join([*head, *table(_SHARDS, shards), *(table(_TASKS, tasks) or ["no tasks"])])


def table(head: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns wide enough for what is in them; nothing if there are no rows."""
    if not rows:
        return []
    cells = [head.split(), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"


_SHARDS = "shard node pid memory pools embeddings"
_TASKS = "task target strategy model pool rounds epoch weights behind took waited published overlap covered"
