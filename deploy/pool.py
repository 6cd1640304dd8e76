"""`pool build` and `pool inspect`: make a bag table, or print what one holds."""

import argparse
from pathlib import Path
from typing import Any

from negsift.common.errors import Interrupted
from negsift.deploy.one_line import readable
from negsift.deploy.settings import a_path, configured


def add_pool_commands(commands: Any) -> None:  # Any: argparse keeps its type private
    """The parsers of `pool` and its own commands."""
    pool = commands.add_parser("pool", help="make a bag table, or print what one holds")
    below = pool.add_subparsers(required=True, metavar="build|inspect", parser_class=type(pool))
    build = below.add_parser(
        "build", help="make one", usage="negsift pool build OUT --from SOURCE [KEY=VALUE ...] [OPTION ...]",
        description="Make a bag table of images, audio, features or arrays: see `negsift list sources`.",
    )  # fmt: skip
    build.add_argument("out", metavar="OUT", help="folder or URI of the table")
    build.add_argument("--from", type=a_path, required=True, dest="source", metavar="SOURCE", help="folder or file")
    build.add_argument("--append", action="store_true", help="add to the table at OUT, as its next version")
    build.add_argument("--workers", type=int, metavar="N", help="read the files by N tasks on Ray (in this process)")
    build.add_argument("--dry-run", action="store_true", help="say what would be taken, and write nothing")
    build.take_settings("build-keys")
    build.set_defaults(do=_build)
    inspect = below.add_parser("inspect", help="print what one holds")
    inspect.add_argument("path", metavar="PATH", help="folder or URI of a table")
    inspect.add_argument("--picture", type=a_path, metavar="FILE", help="write the first images or clips as a PNG")
    inspect.add_argument("--verify", action="store_true", help="also compare every byte with its hash")
    inspect.set_defaults(do=_inspect)


def _build(arguments: argparse.Namespace) -> None:
    from negsift.common.data.table.sources.source import BuildConfig

    config = configured(BuildConfig(), arguments)
    from negsift.common.data.table.build import build_table, preview  # not before the settings are known to be usable

    if arguments.dry_run:
        print(readable(preview(arguments.source, config)))
        return
    run = None
    if arguments.workers is not None:
        from negsift.deploy.parts_on_ray import parts_on_ray

        run = parts_on_ray(arguments.workers)
    try:
        build_table(arguments.out, arguments.source, config, arguments.append, run)
    except KeyboardInterrupt:
        what = "no bag was added to the table" if arguments.append else "nothing of the table is left"
        raise Interrupted(f"{what} in {arguments.out}") from None
    _print_table(arguments.out)


def _inspect(arguments: argparse.Namespace) -> None:
    _print_table(arguments.path, arguments.picture, arguments.verify)


def _print_table(place: str, picture: Path | None = None, verified: bool = False) -> None:
    from negsift.common.data.table.location import Location
    from negsift.common.data.table.manifest import read_manifest
    from negsift.common.data.table.samples import draw_bags, first_bags
    from negsift.common.data.table.statistics import count_bags, describe_table, verify

    location = Location.of(place)
    manifest = read_manifest(location)
    print(readable(describe_table(location, manifest, count_bags(location, manifest))))
    print("the first bags:", *(readable(str(bag)) for bag in first_bags(location, manifest)), sep="\n")
    if picture:
        draw_bags(location, manifest, picture)
    if verified:
        verify(location, manifest)
        print("every byte is as it was written")
