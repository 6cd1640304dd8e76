"""Reads files of rows as Arrow tables, batch by batch; in text, ids and labels are text. Endings may have any case."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.arrow_files import ARROW, is_list, open_rows
from negsift.common.data.class_names import class_names
from negsift.common.data.parquet_file import UNREADABLE, unreadable
from negsift.common.data.table.sources.columns import GROUP, ID, LABEL, SPLIT, column, require_columns, text_columns
from negsift.common.data.table.sources.delimited_text import EXPECTED, TEXT, read_text
from negsift.common.data.table.sources.labels import LabelReader, is_text
from negsift.common.data.table.sources.mat_files import MAT, read_mat
from negsift.common.data.table.sources.mil_files import SVM, read_svm
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.split_names import split_named
from negsift.common.errors import BadData
from negsift.common.regular_file import regular

OPTIONAL = ("split", "group_id")
_NUMBER = pa.float64()
Reader = Callable[[Path, BuildConfig, pa.DataType], Iterator[pa.Table]]


def is_table(path: Path) -> bool:
    """Whether a file is one of rows, as its name says."""
    return path.name.lower().endswith(tuple(_READERS))


def read_batches(
    path: Path, config: BuildConfig, others: pa.DataType = _NUMBER, name: str | None = None
) -> Iterator[pa.Table]:
    """The file's rows. In a CSV `others` is the type of columns that are neither ids nor labels nor optional. Rows that
    are whole bags, or lone instances, without ids are called by `name` and their number. Raises BadData for a file that
    is unreadable or empty, lacks the id or label column, or has two columns of one name.
    """
    rows, source = 0, regular(path)
    read = next((read for ending, read in _READERS.items() if path.name.lower().endswith(ending)), read_text)
    try:
        for batch in read(source, config, others):
            named = _with_features(batch, config)
            if name is not None and _has_features(named.schema):
                named = with_ids(named, config, name, rows)
            require_columns(named.column_names, path, config, batch.column_names)
            rows += batch.num_rows
            yield named
    except UNREADABLE as error:
        if "to double" in str(error):
            expected = "numbers in every column except id, labels, split and group"
            raise BadData(f"{path} unreadable ({error})", expected, "correct it, or leave_out=COLUMN") from None
        raise unreadable(path, error, EXPECTED) from None
    if not rows:
        raise BadData(f"no rows in {path}", "at least one", "correct --from")


def read_ids(path: Path, config: BuildConfig) -> Iterator[pa.Array]:
    """The ids of the rows as text, in order; nothing of a file without ids, or whose reader puts bags together. Raises
    BadData as `read_batches` does.
    """
    try:
        if path.suffix.lower() in ARROW:
            with open_rows(regular(path)) as opened:
                id = column(opened.schema.names, config, ID)
                for batch in opened.batches([id]) if id in opened.schema.names else ():
                    yield as_text(batch, id).combine_chunks()
        elif not path.name.lower().endswith((*SVM, *MAT)):
            for batch in read_text(regular(path), config, _NUMBER, only=ID):
                yield batch.column(0).combine_chunks()
    except UNREADABLE as error:
        raise unreadable(path, error, EXPECTED) from None


def label_reader(schema: pa.Schema, path: Path, config: BuildConfig) -> LabelReader:
    """What reads the label column of a file."""
    names = class_names(schema, column(schema.names, config, LABEL), path)
    return LabelReader(path, config.label_separator, names, config.classes)


def describe_rows(table: pa.Table, config: BuildConfig, labels: LabelReader) -> pa.Table:
    """`bag_id`, `labels` and the optional columns of each row. Raises BadData for columns of another type, and for rows
    without an id.
    """
    names = table.column_names
    ids = as_text(table, column(names, config, ID))
    missing = pc.fill_null(pc.equal(ids, ""), True)
    if pc.any(missing).as_py():
        before = pc.index(missing, True).as_py()
        found = f"{pc.sum(missing).as_py()} rows without a {config.id_column}, the first one after {before} others"
        raise BadData(found, f"a {config.id_column} in every row", "correct the source")
    if not pc.all(pc.equal(ids, pc.utf8_trim_whitespace(ids))).as_py():
        odd = pc.index(pc.equal(ids, pc.utf8_trim_whitespace(ids)), False).as_py()
        found = f"the {config.id_column} {ids[odd].as_py()!r}"
        raise BadData(found, "ids without blanks around them", "correct the source")
    columns = {"bag_id": ids, "labels": labels.read(table[column(names, config, LABEL)])}
    if column(names, config, SPLIT) in names:
        columns["split"] = splits(table, column(names, config, SPLIT))
    if column(names, config, GROUP) in names:
        columns["group_id"] = as_text(table, column(names, config, GROUP))
    return pa.table(columns)


def splits(table: pa.Table, name: str) -> pa.Array:
    """A column of splits, in which words such as `validation` and `testing` mean val and test."""
    words = as_text(table, name).to_pylist()
    return pa.array([word and split_named(word) for word in words], pa.string())


def with_split(table: pa.Table, of_file: str | None) -> pa.Table:
    """Where described rows say nothing, the split is that of their file, if this states one."""
    if of_file is None:
        return table
    stated = table["split"].to_pylist() if "split" in table.column_names else [None] * len(table)
    others = table.drop_columns(["split"]) if "split" in table.column_names else table
    return others.append_column("split", pa.array([split or of_file for split in stated], pa.string()))


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
        own = ", or set instance_labels=true if they are those of instances" if name == "labels" else ""
        raise BadData(f"{name} {one} and {other} for bag {bag!r}", expected, f"correct the source{own}")


def _read_arrow(path: Path, config: BuildConfig, others: pa.DataType) -> Iterator[pa.Table]:
    with open_rows(path) as opened:
        yield from opened.batches()


def _with_features(batch: pa.Table, config: BuildConfig) -> pa.Table:
    """The only column of lists, or the one that `key` names, as `features`, unless there is one of that name."""
    known, names = text_columns(batch.column_names, config), batch.column_names
    lists = [name for name in names if name not in known and is_list(batch.schema.field(name).type)]
    wanted = [config.key] if config.key in lists else [] if "features" in names else lists
    if len(wanted) != 1 or wanted == ["features"]:
        return batch
    kept = batch.drop_columns(["features"]) if "features" in names else batch
    return kept.rename_columns(["features" if name == wanted[0] else name for name in kept.column_names])


def with_ids(batch: pa.Table, config: BuildConfig, name: str, first: int) -> pa.Table:
    """The rows, called by `name` and their number from `first` if they have no ids and no column of them is stated."""
    id = column(batch.column_names, config, ID)
    if id in batch.column_names or config.id_column != BuildConfig.id_column:
        return batch
    ids = [f"{name}-{number:06d}" for number in range(first, first + len(batch))]
    return batch.append_column(id, pa.array(ids, pa.string()))


def _has_features(schema: pa.Schema) -> bool:
    return "features" in schema.names and is_list(schema.field("features").type)


def has_bags(schema: pa.Schema) -> bool:
    """Whether a row is a bag, and its `features` a list of lists."""
    kind = schema.field("features").type if "features" in schema.names else pa.null()
    return is_list(kind) and is_list(kind.value_type)


_READERS: dict[str, Reader] = {
    **dict.fromkeys(TEXT, read_text), **dict.fromkeys(ARROW, _read_arrow), **dict.fromkeys(SVM, read_svm),
    **dict.fromkeys(MAT, read_mat),
}  # fmt: skip
TABLE_ENDINGS = {Path(ending).suffix or ending for ending in _READERS}
"""The last endings of files of rows; `.gz` may be another file's."""
