"""Reads the classic benchmarks of multiple-instance learning (musk, fox, tiger, elephant) as svm-light has them.

Their rows are instances in any order; those of a bag are put together, bags in the order of their first instance. Where
instances have labels of their own, 1 or not, a bag is 1 if one of them is, by the standard assumption of the field.
"""

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from negsift.common.data.table.sources.array_file import MOST_BYTES
from negsift.common.data.table.sources.columns import ID, LABEL, column, require_columns
from negsift.common.data.table.sources.delimited_text import spread
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

SVM = (".svm", ".svmlight", ".libsvm")
_MIL_HEAD = ("-", "bag_id", "label")
_SIGNS = ({"-1", "0", "1"}, {"negative", "positive"})
"""Labels of instances, by which a bag is positive if one of them is."""
_QID = re.compile(r"\s*qid:(\S+)")


def read_svm(path: Path, config: BuildConfig, others: pa.DataType) -> Iterator[pa.Table]:
    """Lines such as `3:17:1 1:0.5 9:2`, of instance 3 of bag 17 with label 1 (`columns` names other heads), or such as
    `1 qid:17 1:0.5`. Raises BadData for other lines.
    """
    from sklearn.datasets import load_svmlight_file  # imported here: only these files need it

    heads, rows = list[dict[str, str]](), list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        head, _, rest = line.partition("#")[0].strip().partition(" ")
        if head:
            bag = _QID.match(rest)
            heads.append(_head(head, bag[1] if bag else None, path, number, config))
            rows.append("0 " + (rest[bag.end() :] if bag else rest))
    if not rows:
        return
    try:
        sparse, _ = load_svmlight_file(io.BytesIO("\n".join(rows).encode()), zero_based="auto")
    except ValueError as error:
        raise BadData(f"{path} unreadable ({error})", "lines of svm-light, such as 3:17:1 1:0.5", "repair it") from None
    require_columns(list(heads[0]), path, config)
    yield bags_together({name: [head[name] for head in heads] for name in heads[0]}, dense(sparse, path), config)


def _head(head: str, bag: str | None, path: Path, number: int, config: BuildConfig) -> dict[str, str]:
    """What stands before the features of a line."""
    if bag is not None:
        return {column([], config, ID): bag, column([], config, LABEL): head}
    parts = head.split(":")
    if len(parts) != len(config.columns or _MIL_HEAD):
        found = f"{head!r:.40} in line {number} of {path}"
        raise BadData(found, "INSTANCE:BAG:LABEL, or LABEL qid:BAG", "name its parts: columns=bag_id,label")
    names = spread(config.columns or _MIL_HEAD, len(parts), path)
    return {name: part for name, part in zip(names, parts, strict=True) if name[0] != "-"}


def dense(features: Any, path: Path) -> NDArray[Any]:  # Any: an array, or one of scipy's sparse ones
    """The features (n, D) as an array. Raises BadData for other than real numbers, and for more than fit."""
    require_size(int(np.prod(features.shape, dtype=np.float64)), str(path))
    numbers: NDArray[Any] = np.asarray(features.toarray() if hasattr(features, "toarray") else features)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iufb" or not numbers.size:
        raise BadData(f"features {numbers.dtype}{numbers.shape} in {path}", "real numbers (n, D)", "repair it")
    return numbers.astype(np.uint8) if numbers.dtype.kind == "b" else numbers


def require_size(numbers: int, what: str) -> None:
    """Raise BadData for more numbers than a bag may have."""
    if numbers * 8 > MOST_BYTES:
        raise BadData(
            f"{numbers:,} numbers for {what}", f"at most {MOST_BYTES // 8:,}", "divide it, or make a Parquet file"
        )


def bags_together(columns: Mapping[str, Any], features: NDArray[Any], config: BuildConfig) -> pa.Table:  # Any: as read
    """A table of rows of instances, those of a bag together and with one label. Raises BadData for columns of other
    lengths.
    """
    arrays = {name: pa.array(_whole(np.asarray(values))) for name, values in columns.items()}
    lengths = {len(features), *map(len, arrays.values())}
    if len(lengths) > 1:
        raise BadData(f"columns of {some_of(sorted(lengths))} rows", "a row for each instance", "correct it")
    flat = pa.array(np.ascontiguousarray(features).ravel())
    table = pa.table(arrays | {"features": pa.FixedSizeListArray.from_arrays(flat, features.shape[1])})
    ids = table[column(table.column_names, config, ID)].to_pylist()
    first = {id: place for place, id in reversed(list(enumerate(ids)))}
    bags = np.array([first[id] for id in ids])
    label = column(table.column_names, config, LABEL)
    table = table.set_column(table.column_names.index(label), label, _of_bags(table[label], bags))
    return table.take(np.argsort(bags, kind="stable"))


def _of_bags(labels: pa.ChunkedArray, bags: NDArray[np.int64]) -> pa.Array:
    """The largest label in the bag of each row if all are -1, 0 or 1, or negative or positive, and else those that are
    there.
    """
    known = {str(label) for label in pc.unique(labels).to_pylist()}
    if not any(known <= signs for signs in _SIGNS):
        return labels.combine_chunks()
    values = labels.to_pylist() if known <= _SIGNS[1] else [int(label) for label in labels.to_pylist()]
    names, codes = np.unique(values, return_inverse=True)
    largest = np.zeros(len(bags), np.int64)
    np.maximum.at(largest, bags, codes)
    return pa.array(names[largest[bags]])


def _whole(values: NDArray[Any]) -> NDArray[Any]:  # Any: of the file's dtype
    """Whole numbers that MATLAB keeps as fractions, as whole numbers."""
    return values.astype(np.int64) if values.dtype.kind == "f" and np.all(np.mod(values, 1) == 0) else values
