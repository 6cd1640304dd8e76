"""Writes one part of a source into files of its own, so that parts can be written side by side, in any order."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import TableFile
from negsift.common.data.table.row_group_writer import RowGroupWriter
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.source import Remark


@dataclass(frozen=True)
class WrittenPart:
    """The files of a part, the labels in them, a line for everything left out, and remarks. Without a bag there are no
    files.
    """

    files: tuple[TableFile, ...]
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartWriter:
    """Writes parts of a table: files whose names begin with `prefix`, row groups of at most `limit_bytes`."""

    location: Location
    payload: Payload
    limit_bytes: int
    prefix: str

    def write(self, number: int, pieces: Iterable[pa.Table | str]) -> WrittenPart:
        """Write part `number`, given its tables of bags and lines. Raises as its reading does, or BadData for bags
        that don't fit the schema; then none of its files is left.
        """
        writer = RowGroupWriter(self.location, self.payload, self.limit_bytes, f"{self.prefix}-{number:05d}")
        classes, left_out, remarks = set[str](), list[str](), list[str]()
        with ExitStack() as undo:
            undo.callback(writer.discard, ())
            for piece in pieces:
                if isinstance(piece, str):
                    (remarks if isinstance(piece, Remark) else left_out).append(piece)
                    continue
                writer.add(piece)
                classes |= set(pc.unique(pc.list_flatten(piece["labels"])).to_pylist())
            files = writer.finish()
            undo.pop_all()
        return WrittenPart(files, tuple(sorted(classes)), (*left_out, *writer.left_out), tuple(remarks))
