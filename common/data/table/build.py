"""Builds a version of a bag table from files on disk."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, versions
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.samples import sample_bags
from negsift.common.data.table.sources.kinds import kind_of, open_source
from negsift.common.data.table.sources.source import BuildConfig, Part, Remark, Source
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData, BadInput, Interrupted

log = logging.getLogger(__name__)
_SHOWN, _LISTED = 3, 10
RunParts = Callable[[PartWriter, Mapping[int, Part]], Iterator[tuple[int, WrittenPart]]]
"""Has parts written, each under its number, and yields them in any order."""


def build_table(
    where: str | Path | Location,
    source: str | Path,
    config: BuildConfig,
    append: bool = False,
    run: RunParts | None = None,
) -> Manifest:
    """Build a table from `source`, or with `append` add its bags to the table at `where`; returns the new manifest.
    `run` has the parts written, by default one after the other in this process. Raises BadData or BadInput for an
    unusable source or target folder; then no file is left behind. After Ctrl-C whole parts stay, if there are any, for
    the same build to go on with, and Interrupted says how many.
    """
    location, source = Location.of(where), Path(source)
    if append and not versions(location):
        raise BadInput(f"no bag table at {location.name}", "one to append to", "correct OUT, or leave out --append")
    opened = open_source(source, config)
    writer = TableWriter(location, opened.payload, append=append, group_mb=config.group_mb)
    try:
        with writer:
            writer.declare(config.classes)
            writer.leave_out(opened.missing)
            if opened.payload.views:
                _add(writer, opened)
            else:
                _write(writer, opened, config, run or one_by_one)
            writer.leave_out(opened.beside)
    except KeyboardInterrupt:
        if not writer.kept:
            raise
        kept = f"{writer.kept} of {len(opened.parts)} parts are kept in {location.name}"
        raise Interrupted(f"{kept}: the same command goes on with them") from None
    return writer.manifest


def preview(source: Path, config: BuildConfig) -> str:
    """What `build_table` would take, in a few lines: nothing is written, and no more read than the first bags."""
    kind = kind_of(source, config)
    opened = open_source(source, config)
    files = len({path for part in opened.parts for path in part.files})
    pieces = (piece for part in opened.parts for piece in part.read() if isinstance(piece, pa.Table) and len(piece))
    first = next(pieces, None) if not opened.payload.views else None
    bags = sample_bags(first, opened.payload) if first is not None else []
    left_out = [*opened.missing, *opened.beside]
    return "\n".join([
        f"{source}: {kind}, of which nothing is written",
        f"bags of {opened.payload}, read from {f'{files:,} files' if files else 'the source as a whole'}",
        f"left out before any is read: {len(left_out):,}",
        *(f"  {line}" for line in left_out[:_LISTED]),
        *(["the first bags:"] if bags else []), *map(str, bags),
    ])  # fmt: skip


def one_by_one(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
    """Write the parts in this process."""
    for number, part in parts.items():
        yield number, writer.write(number, part.read())


def _write(writer: TableWriter, source: Source, config: BuildConfig, run: RunParts) -> None:
    """Take the parts that an earlier build of the same has written, and have the others written."""
    notes, missing = writer.notes(config), dict[int, Part]()
    for number, part in enumerate(source.parts):
        written = notes.recall(number, part)
        if written is None:
            missing[number] = part
        else:
            writer.take(number, written)
    if len(missing) < len(source.parts):
        log.info("%d of %d parts are there from a build that was stopped", len(writer.taken), len(source.parts))
    for number, written in tqdm(run(writer.parts, missing), "parts", len(missing), disable=None, leave=False):
        writer.take(number, written)
        notes.note(number, written)
    for remark in [remark for written in writer.taken for remark in written.remarks][:_SHOWN]:
        log.warning("%s", remark)
    groups = [group for written in writer.taken for file in written.files for group in file.groups]
    kept = sum(group.rows if source.unit == "bags" else group.instances for group in groups)
    _require_most(source, kept, [*source.missing, *(line for written in writer.taken for line in written.left_out)])


def _add(writer: TableWriter, source: Source) -> None:
    """The images of an instance table, then the bags of its rows."""
    images, lines = 0, list[str]()
    for piece in source.images:
        if isinstance(piece, pa.Table):
            writer.add_images(piece)
            images += piece.num_rows
        elif isinstance(piece, Remark):
            log.warning("%s", piece)
        else:
            lines.append(piece)
    _require_most(source, images, lines)
    writer.leave_out(lines)
    for part in source.parts:
        for piece in part.read():
            assert isinstance(piece, pa.Table)
            writer.add(piece)


def _require_most(source: Source, kept: int, lines: list[str]) -> None:
    """Raise BadData if more of a source was left out than taken."""
    if len(lines) > kept:
        found = f"{len(lines)} of {len(lines) + kept} {source.unit} missing or unusable (first: {lines[0]})"
        raise BadData(found, "at least half to be usable", f"correct --from, or repair the {source.unit}")
