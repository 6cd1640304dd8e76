"""Opens parquet files that users name, and says what is wrong with those that can't be used."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.errors import BadData
from negsift.common.regular_file import regular

UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for damaged files."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, opened. Raises BadData if it is no regular parquet file or has two columns of one name."""
    source = regular(path)
    try:
        opened = pq.ParquetFile(source)
        names = opened.schema_arrow.names
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    require_distinct(names, path)
    return opened


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Some columns, by default all. Raises BadData as `open_parquet`, or if the content is damaged."""
    with open_parquet(path) as opened:
        try:
            return opened.read(columns=columns)
        except UNREADABLE as error:
            raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception, expected: str = "a parquet file") -> BadData:
    """The exception for a file that Arrow refuses."""
    return BadData(f"{path} unreadable ({error})", expected, "repair it, or write it again")


def require_distinct(names: Sequence[str], path: Path) -> None:
    """Raise BadData if two columns have one name."""
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise BadData(f"{times} columns {name!r} in {path}", "columns of different names", "rename or remove one")
