"""Reads CSV and parquet files as Arrow tables, batch by batch; in a CSV, ids and labels are text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from negsift.common.data.class_names import class_names
from negsift.common.data.parquet_file import UNREADABLE, open_parquet, require_distinct, unreadable
from negsift.common.data.table.sources.labels import LabelReader, is_text
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from negsift.common.regular_file import regular

OPTIONAL = ("split", "group_id")
_NUMBER = pa.float64()
_ROWS, _HEAD = 1 << 14, 1 << 10
_EXPECTED = "a CSV in UTF-8 with a header, or a parquet file"


def read_batches(path: Path, config: BuildConfig, others: pa.DataType = _NUMBER) -> Iterator[pa.Table]:
    """The file's rows. In a CSV `others` is the type of columns that are neither ids nor labels nor optional. Raises
    BadData for a file that is unreadable or empty, lacks the id or label column, or has two columns of one name.
    """
    rows, source = 0, regular(path)
    try:
        for batch in _parquet(source, config) if path.suffix == ".parquet" else _csv(source, config, others):
            rows += batch.num_rows
            yield batch
    except UNREADABLE as error:
        raise unreadable(path, error, _EXPECTED) from None
    if not rows:
        raise BadData(f"no rows in {path}", "at least one", "correct --from")


def label_column(names: Sequence[str], config: BuildConfig) -> str:
    """The name of the label column: the configured one, or `labels` if that is the default and absent."""
    return "labels" if config.label_column == "label" and "label" not in names else config.label_column


def label_reader(schema: pa.Schema, path: Path, config: BuildConfig) -> LabelReader:
    """What reads the label column of a file."""
    names = class_names(schema, label_column(schema.names, config), path)
    return LabelReader(path, config.label_separator, names, config.classes)


def describe_rows(table: pa.Table, config: BuildConfig, labels: LabelReader) -> pa.Table:
    """`bag_id`, `labels` and the optional columns of each row. Raises BadData for columns of another type, and for rows
    without an id.
    """
    ids = as_text(table, config.id_column)
    missing = pc.fill_null(pc.equal(ids, ""), True)
    if pc.any(missing).as_py():
        before = pc.index(missing, True).as_py()
        found = f"{pc.sum(missing).as_py()} rows without a {config.id_column}, the first one after {before} others"
        raise BadData(found, f"a {config.id_column} in every row", "correct the source")
    if not pc.all(pc.equal(ids, pc.utf8_trim_whitespace(ids))).as_py():
        odd = pc.index(pc.equal(ids, pc.utf8_trim_whitespace(ids)), False).as_py()
        found = f"the {config.id_column} {ids[odd].as_py()!r}"
        raise BadData(found, "ids without blanks around them", "correct the source")
    columns = {"bag_id": ids, "labels": labels.read(table[label_column(table.column_names, config)])}
    return pa.table(columns | {name: as_text(table, name) for name in OPTIONAL if name in table.column_names})


def as_text(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of text or whole numbers, as text. Raises BadData for another type."""
    kind = table[name].type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise BadData(f"column {name!r} of type {kind}", "text or whole numbers", "convert it")
    return table[name].cast(pa.string())


def require_same(bag: str, name: str, one: object, other: object) -> None:
    """Raise BadData where two rows of a bag disagree on the column `name`."""
    if one != other:
        expected = f"the same {name} in every row of a bag"
        raise BadData(f"{name} {one} and {other} for bag {bag!r}", expected, "correct the source")


def _require_columns(names: Sequence[str], path: Path, config: BuildConfig) -> None:
    require_distinct(names, path)
    needed = (config.id_column, label_column(names, config))
    missing = [name for name in needed if name not in names]
    if missing:
        found = f"{path} without column {', '.join(missing)} (it has {', '.join(names[:8])})"
        remedy = "name them: id_column=NAME label_column=NAME"
        raise BadData(found, "columns for the bag's id and its labels", remedy)


def _csv(path: Path, config: BuildConfig, others: pa.DataType) -> Iterator[pa.Table]:
    with path.open("rb") as stream:
        _require_commas(stream.read(_HEAD), path)
    with pyarrow.csv.open_csv(path) as opened:
        stated = opened.schema.names
    names = [name.strip() for name in stated]
    _require_columns(names, path, config)
    texts = dict.fromkeys((config.id_column, label_column(names, config), *OPTIONAL), pa.string())
    # Only an empty field is missing: NA, null, None and nan are names, too.
    options = pyarrow.csv.ConvertOptions(
        column_types={old: texts.get(new, others) for old, new in zip(stated, names, strict=True)},
        null_values=[""], strings_can_be_null=True,
    )  # fmt: skip
    with pyarrow.csv.open_csv(path, convert_options=options) as opened:
        for batch in opened:
            yield pa.Table.from_batches([batch]).rename_columns(names)


def _require_commas(head: bytes, path: Path) -> None:
    """Raise BadData if the beginning of a CSV is in UTF-16, or has a header separated by something else."""
    if b"\0" in head:
        raise BadData(f"zero bytes in {path}, as in UTF-16", _EXPECTED, "save it as UTF-8")
    header = head.strip(b"\r\n").splitlines()[:1]
    for separator in (b";", b"\t"):
        if any(separator in line and b"," not in line for line in header):
            found = f"{path} with columns separated by {separator.decode()!r}"
            raise BadData(found, "commas, and points in numbers", "save it with these")


def _parquet(path: Path, config: BuildConfig) -> Iterator[pa.Table]:
    with open_parquet(path) as opened:
        _require_columns(opened.schema_arrow.names, path, config)
        for batch in opened.iter_batches(_ROWS):
            yield pa.Table.from_batches([batch])
