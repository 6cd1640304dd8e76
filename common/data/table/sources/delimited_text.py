"""Reads text of columns: CSV, tabs in a .tsv, either gzipped, with a header or with names from `columns`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from negsift.common.data.table.sources.columns import column, require_columns, text_columns
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".data")
EXPECTED = "a CSV in UTF-8 with a header, or a parquet file"
LEAVE_OUT, THE_REST = "-", "*"
_HEAD = 1 << 16


def read_text(path: Path, config: BuildConfig, others: pa.DataType, only: str | None = None) -> Iterator[pa.Table]:
    """The rows of a file, all columns or `only` that of a key, such as ID. `others` is the type of columns that are
    neither ids nor labels, splits nor groups.
    """
    with _opened(path) as stream:
        head = stream.read(_HEAD)
    separator = _separator(head, path, is_list=pa.types.is_string(others))
    parse = pyarrow.csv.ParseOptions(delimiter=separator)
    with _opened(path) as stream, pyarrow.csv.open_csv(stream, _names(config, ()), parse) as opened:
        width = len(opened.schema.names)
        stated = opened.schema.names if not config.columns else spread(config.columns, width, path)
    names = [name.strip() for name in stated]
    require_columns(names, path, config)
    texts = dict.fromkeys((*text_columns(names, config), *config.leave_out), pa.string())
    wanted = names if only is None else [column(names, config, only)]
    # Only an empty field is missing: NA, null, None and nan are names, too.
    options = pyarrow.csv.ConvertOptions(
        column_types={old: texts.get(new, others) for old, new in zip(stated, names, strict=True)},
        null_values=[""], strings_can_be_null=True,
        include_columns=[
            old for old, new in zip(stated, names, strict=True)
            if new in wanted and not (config.columns and old.startswith(LEAVE_OUT))
        ],
    )  # fmt: skip
    with _opened(path) as stream, pyarrow.csv.open_csv(stream, _names(config, stated), parse, options) as opened:
        for batch in opened:
            yield pa.Table.from_batches([batch]).rename_columns([name.strip() for name in batch.schema.names])


def spread(columns: Sequence[str], width: int, path: Path) -> list[str]:
    """A name for each of `width` columns: `*` among `columns` stands for all that the others leave, and the names of
    those called `-` begin with it. Raises BadData for more or fewer columns than that.
    """
    rest, counts = width - len(columns) + 1, columns.count(THE_REST)
    if counts > 1 or (rest != 1 and not counts) or rest < 0:
        found = f"{width} columns in {path}, and columns={','.join(columns)}"
        raise BadData(found, "a name for each, - to leave one out, and * once for all others", "correct columns")
    names = list[str]()
    for name in columns:
        some = range(rest) if name == THE_REST else range(1)
        names += [f"{'x' if name == THE_REST else name}{len(names) + place}" for place in some] if name in (
            THE_REST, LEAVE_OUT) else [name]  # fmt: skip
    return names


def _names(config: BuildConfig, names: Sequence[str]) -> pyarrow.csv.ReadOptions:
    """Where the names come from: the header, these names, or for the moment none."""
    if not config.columns:
        return pyarrow.csv.ReadOptions()
    return pyarrow.csv.ReadOptions(column_names=names or None, autogenerate_column_names=not names)


def _opened(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None)


def _separator(head: bytes, path: Path, is_list: bool) -> str:
    """What divides the columns: a tab in a .tsv, a comma elsewhere; in a list, which has no numbers with commas, what
    its first line has. Raises BadData for a beginning in UTF-16, or a first line divided by something else.
    """
    if b"\0" in head:
        raise BadData(f"zero bytes in {path}, as in UTF-16", EXPECTED, "save it as UTF-8")
    separator = "\t" if ".tsv" in path.name.lower() else ","
    first = (head.strip(b"\r\n").splitlines() or [b""])[0].decode(errors="replace")
    others = [other for other in (";", "\t", ",") if other in first and separator not in first]
    if others and is_list:
        return others[0]
    if others:
        expected = "commas, and points in numbers" if separator == "," else "tabs"
        raise BadData(f"{path} with columns separated by {others[0]!r}", expected, "save it with these")
    return separator
