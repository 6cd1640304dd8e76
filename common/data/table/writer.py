"""Writes a version of a table: bags in, row groups by bytes, the manifest last. All of it, or nothing."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.table.grouped import GroupedFiles
from negsift.common.data.table.ids import require_unique_ids
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest, versions, write_manifest
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadData, BadInput

_OURS = re.compile(r"(bags|images)-\d{6}-.*\.parquet")
GROUP_MB = 16
MOST_MB = 48  # of payload; ids, labels and levels stay below the 64 MB a row group may have


class TableWriter:
    """A context in which bags are added; at its end they become the table's next version.

    With `append` the bags are added to the table that is there, else there must be none. Raises
    BadInput for a place that is taken, BadData for bags that don't fit the schema or the table.
    """

    def __init__(self, where: Location, payload: Payload, *, append: bool = False, group_mb: float = GROUP_MB) -> None:
        if not 0 < group_mb <= MOST_MB:
            raise BadInput(f"row groups of {group_mb} MiB", f"at most {MOST_MB} MiB", "correct group_mb")
        self._where, self._payload, limit = where, payload, int(group_mb * 2**20)
        self._before = _before(where, payload, append)
        self._version = self._before.version + 1 if self._before else 1
        self._bags = GroupedFiles(where, payload, limit, f"bags-{self._version:06d}")
        self._images = GroupedFiles(where, payload.viewed, limit, f"images-{self._version:06d}")
        self._classes, self._left_out = set[str](), list[str]()
        self._made: Manifest | None = None

    def add(self, bags: pa.Table) -> None:
        """Bags with `bag_id`, `labels`, the payload and any optional column, in order.

        Their `instance_rows` count the images added by this writer.
        """
        self._bags.add(self._shifted(bags) if self._payload.views else bags)
        self._classes |= set(pc.unique(pc.list_flatten(bags["labels"])).to_pylist())

    def add_images(self, images: pa.Table) -> None:
        """Images, for bags that are views of them, in the form of bags: each is the next row of the instance table."""
        self._images.add(images)

    def declare(self, classes: tuple[str, ...]) -> None:
        """Classes that may be a target though no bag is positive for them."""
        self._classes |= set(classes)

    def leave_out(self, dropped: Sequence[str]) -> None:
        """Note what the source has that is no bag, a line each."""
        self._left_out += dropped

    def finish(self) -> None:
        """Write what waits and make the version visible."""
        bags, images = self._bags.finish(), self._images.finish()
        if not bags:
            raise BadData(f"no bags for {self._where}", "one at least", "look at the source")
        before = self._before or Manifest(0, self._payload, (), ())
        require_unique_ids(self._where, (*before.files, *bags))
        self._made = Manifest(
            self._version, self._payload, tuple(sorted({*self._classes, *before.classes})), (*before.files, *bags),
            (*before.left_out, *self._left_out), (*before.images, *images),
        )  # fmt: skip
        write_manifest(self._where, self._made)

    @property
    def made(self) -> Manifest:
        """The version's manifest, once the context has ended."""
        assert self._made is not None
        return self._made

    def discard(self) -> None:
        """Remove all files written so far."""
        newest = read_manifest(self._where) if versions(self._where) else None
        listed = {file.name for file in (*newest.files, *newest.images)} if newest else set[str]()
        for files in (self._bags, self._images):
            files.discard(listed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self.discard)
            if error is None:
                self.finish()
                undo.pop_all()

    def _shifted(self, bags: pa.Table) -> pa.Table:
        """The bags with their rows counted from the beginning of the instance table; raises BadData for others."""
        column = bags["instance_rows"].combine_chunks()
        rows, images = column.flatten(), self._images.rows
        found = pc.min_max(rows).as_py()
        if len(rows) and not 0 <= found["min"] <= found["max"] < images:
            told = f"instance_rows from {found['min']} to {found['max']}"
            raise BadData(told, f"rows of the {images} images added", "correct the source")
        before = sum(group.rows for file in (self._before.images if self._before else ()) for group in file.groups)
        offsets = np.concatenate([[0], np.cumsum(column.value_lengths().fill_null(0).to_numpy())])
        shifted = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pc.add(rows, before))
        return bags.set_column(bags.schema.get_field_index("instance_rows"), "instance_rows", shifted)


def _require_empty(where: Location) -> None:
    """A folder with anything in it but what a killed writer left is somebody's own, perhaps the source itself."""
    others = where.others(_OURS)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise BadInput(
            f"{', '.join(others[:3])}{more} in {where.name or 'this folder'}",
            "an empty folder, or one that is not there yet", "choose another",
        )  # fmt: skip


def _before(where: Location, payload: Payload, append: bool) -> Manifest | None:
    known = versions(where)
    if known and not append:
        raise BadInput(
            f"a bag table at {where.name} (version {known[-1]})", "an empty place", "add --append or choose another"
        )
    if not known:
        _require_empty(where)
        return None
    manifest = read_manifest(where)
    if manifest.payload != payload:
        raise BadData(f"bags of {payload}", f"{manifest.payload}, as in {where.name}", "build a table of its own")
    return manifest
