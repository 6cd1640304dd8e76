"""Reads CSV and parquet files as Arrow tables, batch by batch; in a CSV, ids and labels are text, the rest numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData

OPTIONAL = ("split", "group_id")
_ROWS = 1 << 14


def read_batches(path: Path, config: BuildConfig) -> Iterator[pa.Table]:
    """The file's rows. Raises BadData for a file that is unreadable or empty, or lacks the id or label column."""
    rows = 0
    try:
        for batch in _csv(path, config) if path.suffix == ".csv" else _parquet(path):
            rows += batch.num_rows
            _require_columns(batch.column_names, path, config)
            yield batch
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} unreadable ({error})", "a CSV with a header, or a parquet file", "repair it") from None
    if not rows:
        raise BadData(f"no rows in {path}", "at least one", "correct --from")


def read_text_csv(path: Path, config: BuildConfig) -> pa.Table:
    """A whole CSV file of ids and labels, with all columns as text."""
    with pyarrow.csv.open_csv(path) as opened:
        names = opened.schema.names
    _require_columns(names, path, config)
    return pyarrow.csv.read_csv(path, convert_options=_types(names, {}))


def parquet_schema(path: Path) -> pa.Schema:
    """The schema of a parquet file. Raises BadData if it can't be read."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} unreadable ({error})", "a parquet file", "repair it") from None


def label_column(names: Sequence[str], config: BuildConfig) -> str:
    """The name of the label column: the configured one, or `labels` if that is the default and absent."""
    return "labels" if config.label_column == "label" and "label" not in names else config.label_column


def _require_columns(names: Sequence[str], path: Path, config: BuildConfig) -> None:
    needed = (config.id_column, label_column(names, config))
    missing = [name for name in needed if name not in names]
    if missing:
        found = f"{path} without column {', '.join(missing)} (it has {', '.join(names[:8])})"
        remedy = "name them: id_column=NAME label_column=NAME"
        raise BadData(found, "columns for the bag's id and its labels", remedy)


def _csv(path: Path, config: BuildConfig) -> Iterator[pa.Table]:
    with pyarrow.csv.open_csv(path) as opened:
        names = opened.schema.names
    _require_columns(names, path, config)
    texts = (config.id_column, label_column(names, config), *OPTIONAL)
    numbers = {name: pa.float64() for name in names if name not in texts}
    with pyarrow.csv.open_csv(path, convert_options=_types(texts, numbers)) as opened:
        for batch in opened:
            yield pa.Table.from_batches([batch])


def _types(texts: Sequence[str], others: dict[str, pa.DataType]) -> pyarrow.csv.ConvertOptions:
    types = {name: pa.string() for name in texts} | others
    return pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)


def _parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as opened:
        for batch in opened.iter_batches(_ROWS):
            yield pa.Table.from_batches([batch])
