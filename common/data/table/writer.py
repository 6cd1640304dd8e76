"""Writes a version of a table, completely or not at all: the bags' files first, the manifest last."""

import re
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.class_names import require_distinct_forms
from negsift.common.data.table.groups import require_whole_groups
from negsift.common.data.table.ids import require_unique_ids
from negsift.common.data.table.location import Location, remove_if_empty
from negsift.common.data.table.manifest import Manifest, read_manifest, versions, write_manifest
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.part_notes import PartNotes
from negsift.common.data.table.row_group_writer import RowGroupWriter
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadData, BadInput
from negsift.common.some_of import some_of

_TABLE_FILE = re.compile(r"(bags|images)-\d{6}-.*\.parquet")
GROUP_MB = 16
MOST_MB = 48  # of payload; with ids, labels and levels a row group stays below 64 MB


class TableWriter:
    """A context in which bags are added; when it ends without an error they become the table's next version. With
    `append` the bags are added to the folder's table if there is one; without it the folder must be empty. Raises
    BadInput for a folder that is in use, BadData for bags that do not fit the schema or the table.
    """

    def __init__(
        self, location: Location, payload: Payload, *, append: bool = False, group_mb: float = GROUP_MB
    ) -> None:
        if not 0 < group_mb <= MOST_MB:
            raise BadInput(
                f"row groups of {group_mb} MiB", f"more than 0 and at most {MOST_MB} MiB", "correct group_mb"
            )
        self._location, self._payload, limit = location, payload, int(group_mb * 2**20)
        self._previous, self._absent = _previous(location, payload, append), location.absent_folders
        self.version = self._previous.version + 1 if self._previous else 1
        own = f"{self.version:06d}-{uuid.uuid4().hex[:12]}"  # no other writer has files of such names
        self.parts = PartWriter(location, payload, limit, f"bags-{own}")
        self._written, self._notes = dict[int, WrittenPart](), list[PartNotes]()
        self.kept = 0
        """The parts that an interrupted build has left for the same build to go on with."""
        self._bags = RowGroupWriter(location, payload, limit, f"bags-{own}")
        self._images = RowGroupWriter(location, payload.instance_payload, limit, f"images-{own}")
        self._classes, self._left_out = set[str](), list[str]()
        self._manifest: Manifest | None = None

    def add(self, bags: pa.Table) -> None:
        """Append bags with `bag_id`, `labels`, the payload and any optional column. Their `instance_rows` are row
        numbers among the images that this writer has added.
        """
        self._bags.add(self._shifted(bags) if self._payload.views else bags)
        self._classes |= set(pc.unique(pc.list_flatten(bags["labels"])).to_pylist())

    def notes(self, settings: object) -> PartNotes:
        """The notes of the parts that are written with these settings, until the context ends."""
        notes = PartNotes(self._location, self._payload, (self.version, settings))
        self._notes.append(notes)
        return notes

    def take(self, number: int, written: WrittenPart) -> None:
        """Append what `parts` has written as part `number`. Parts are in the order of their numbers, before all that is
        added.
        """
        self._written[number] = written

    @property
    def taken(self) -> Sequence[WrittenPart]:
        """The parts that were taken, in order."""
        return [self._written[number] for number in sorted(self._written)]

    def add_images(self, images: pa.Table) -> None:
        """Append rows to the instance table: bags of a single `image` each."""
        self._images.add(images)

    def declare(self, classes: tuple[str, ...]) -> None:
        """Add classes that may be a target although no bag is positive for them."""
        self._classes |= set(classes)

    def leave_out(self, dropped: Sequence[str]) -> None:
        """Record a line for each item of the source that did not become a bag."""
        self._left_out += dropped

    def finish(self) -> None:
        """Write the remaining bags and publish the version. Raises BadData if there are none, or an id repeats."""
        images = self._images.finish()
        bags = (*(file for written in self.taken for file in written.files), *self._bags.finish())
        self.leave_out([line for written in self.taken for line in written.left_out])
        self.leave_out(self._bags.left_out)
        self._classes |= {name for written in self.taken for name in written.classes}
        if not bags:
            raise BadData(f"no bags for {self._location.name}", "at least one", "check the source")
        previous = self._previous or Manifest(0, self._payload, (), ())
        classes = tuple(sorted({*self._classes, *previous.classes}))
        require_distinct_forms(classes, self._location.name)
        # Only now are all ids and groups known; nothing is published if one repeats, or is cut.
        require_unique_ids(self._location, (*previous.files, *bags))
        require_whole_groups(self._location, (*previous.files, *bags))
        self._manifest = Manifest(
            self.version, self._payload, classes, (*previous.files, *bags),
            (*previous.left_out, *self._left_out), (*previous.images, *images),
        )  # fmt: skip
        write_manifest(self._location, self._manifest)

    @property
    def manifest(self) -> Manifest:
        """The new version's manifest, after the context has ended."""
        assert self._manifest is not None
        return self._manifest

    def discard(self, keep_parts: bool = False) -> None:
        """Remove all files and folders of this writer, unless its version was published just before the error; with
        `keep_parts` parts that a note tells of stay.
        """
        newest = read_manifest(self._location) if versions(self._location) else None
        listed = {file.name for file in (*newest.files, *newest.images)} if newest else set[str]()
        kept = [part for notes in self._notes for part in notes.keep()] if keep_parts else []
        self.kept, listed = len(kept), listed | {file.name for part in kept for file in part.files}
        self._close_notes()
        for files in (self._bags, self._images):
            files.discard(listed)
        taken = {file.name for written in self.taken for file in written.files}
        for name in self._location.files():
            if (name in taken or name.startswith(self.parts.prefix)) and name not in listed:
                self._location.remove(name)
        remove_if_empty(self._absent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with ExitStack() as undo:
            undo.push(lambda failure, *_: self.discard(KeyboardInterrupt in (kind, failure)))
            if kind is None:
                self.finish()
                undo.pop_all()
                for notes in self._notes:
                    notes.remove_others({file.name for file in self.manifest.files})
                self._close_notes()

    def _close_notes(self) -> None:
        for notes in self._notes:
            notes.close()

    def _shifted(self, bags: pa.Table) -> pa.Table:
        """The bags with `instance_rows` counted from the beginning of the whole instance table. Raises BadData for rows
        that were not added.
        """
        column = bags["instance_rows"].combine_chunks()
        rows, images = column.flatten(), self._images.rows
        ends = pc.min_max(rows).as_py()
        if len(rows) and not 0 <= ends["min"] <= ends["max"] < images:
            found = f"instance_rows from {ends['min']} to {ends['max']}"
            raise BadData(found, f"rows of the {images} images added", "correct the source")
        before = self._previous.instance_table.rows if self._previous else 0
        offsets = np.concatenate([[0], np.cumsum(column.value_lengths().fill_null(0).to_numpy())])
        shifted = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pc.add(rows, before))
        return bags.set_column(bags.schema.get_field_index("instance_rows"), "instance_rows", shifted)


def _require_empty(location: Location) -> None:
    """Raise BadInput for a folder with other files than those of a killed writer: it might be the source itself."""
    others = location.others(_TABLE_FILE)
    if others:
        found = f"{some_of(others, 3)} in {location.name}"
        raise BadInput(found, "an empty folder or a new one", "choose another")


def _previous(location: Location, payload: Payload, append: bool) -> Manifest | None:
    """The newest version, to which bags are appended; None for a new table."""
    known = versions(location)
    if known and not append:
        found = f"a bag table at {location.name} (version {known[-1]})"
        raise BadInput(found, "an empty folder", "add --append or choose another")
    if not known:
        _require_empty(location)
        return None
    manifest = read_manifest(location)
    if manifest.payload != payload:
        raise BadData(f"bags of {payload}", f"{manifest.payload}, as in {location.name}", "build a separate table")
    return manifest
