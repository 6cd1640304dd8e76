"""`pool build` and `pool inspect`: make a bag table, say what is in one."""

import argparse
from pathlib import Path
from typing import Any

from negsift.common.config import keys, override
from negsift.common.data.table.build import SOURCES, build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.statistics import count_bags, describe_table, verify


def add_pool_commands(commands: Any) -> None:  # Any: argparse keeps its type private
    """The parsers of `pool` and its own commands."""
    pool = commands.add_parser("pool", help="make a bag table, or say what is in one")
    below = pool.add_subparsers(required=True, metavar="build|inspect", parser_class=type(pool))
    knobs = "\n".join(f"  {key}: {line}" for key, line in keys(BuildConfig).items())
    kinds = "\n".join(f"  {name}: {line}" for name, (_, line) in SOURCES.items())
    build = below.add_parser(
        "build", help="make one", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Make a bag table of one of\n{kinds}", epilog=f"keys for --set:\n{knobs}",
    )  # fmt: skip
    build.add_argument("out", metavar="OUT", help="folder or URI of the table")
    build.add_argument("--from", type=Path, required=True, dest="source", metavar="SOURCE", help="folder or file")
    build.add_argument("--append", action="store_true", help="add to the table at OUT, as its next version")
    build.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key below, repeatable")
    build.set_defaults(do=_build)
    inspect = below.add_parser("inspect", help="say what is in one")
    inspect.add_argument("path", metavar="PATH", help="folder or URI of a table")
    inspect.add_argument("--verify", action="store_true", help="also compare every byte with its hash")
    inspect.set_defaults(do=_inspect)


def _build(given: argparse.Namespace) -> None:
    where = Location.of(given.out)
    made = build_table(where, given.source, override(BuildConfig(), given.set), given.append)
    _describe(where, made)


def _inspect(given: argparse.Namespace) -> None:
    where = Location.of(given.path)
    manifest = read_manifest(where)
    _describe(where, manifest)
    if given.verify:
        verify(where, manifest)
        print("every byte is as it was written")


def _describe(where: Location, manifest: Manifest) -> None:
    print(describe_table(where, manifest, count_bags(where, manifest)))
