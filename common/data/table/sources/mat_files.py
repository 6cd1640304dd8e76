"""Reads MATLAB's files of multiple-instance learning, before version 7.3: a row for each instance beside its bag and
its label, a data set of PRTools and its MIL toolbox, or a cell for each bag. Matrices may be sparse.
"""

import functools
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.data.table.sources.array_file import MOST_BYTES
from negsift.common.data.table.sources.columns import ID, LABEL, column, require_columns
from negsift.common.data.table.sources.mil_files import bags_together, dense, require_size
from negsift.common.data.table.sources.source import BuildConfig, Stamp, stamp
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

MAT = (".mat",)
_NAMES = {ID: ("bag_ids", "bag_id", "bagids"), LABEL: ("labels", "label", "bag_labels", "targets")}
_FEATURES = ("features", "x", "X", "data", "bags")
_DAMAGED = (
    ValueError, TypeError, OSError, KeyError, IndexError, AttributeError, OverflowError, MemoryError, RuntimeError,
    AssertionError, EOFError, zlib.error,
)  # fmt: skip
_READ = """
import math, sys, scipy.io
path, most = sys.argv[1], int(sys.argv[2])
if all(math.prod(shape) * 8 <= most for _, shape, _ in scipy.io.whosmat(path)):
    scipy.io.loadmat(path)
"""
Arrays = Mapping[str, Any]
"""Arrays by name, as scipy gives them: of numbers, sparse, of objects, or structs."""


class Rows(NamedTuple):
    """Features (n, D), dense or sparse, and for each of their rows what is known by column."""

    features: Any  # an array, or one of scipy's sparse ones
    columns: Mapping[str, NDArray[Any]]  # Any: numbers or text


def read_mat(path: Path, config: BuildConfig, others: pa.DataType) -> Iterator[pa.Table]:
    """The rows of a file, those of a bag together. Raises BadData for files of another form, and for damaged ones."""
    held = _load(path)
    name = _features_name(held, path, config)
    value = held[name]
    if value.dtype.names:
        rows = _of_prtools(value, path)
    elif value.dtype == object:
        rows = _of_cells(value, held, path)
    else:
        rows = Rows(value, _columns(held, config))
    named = {column([], config, key): values for key, values in rows.columns.items()}
    require_columns(list(named), path, config)
    yield bags_together(named, dense(rows.features, path), config)


@functools.cache
def _ends_its_process(file: Stamp) -> bool:
    """Whether scipy's reader, in C, does not survive the file: what reads it is another process."""
    done = subprocess.run([sys.executable, "-P", "-c", _READ, file.path, str(MOST_BYTES)], capture_output=True)
    return done.returncode < 0


def _load(path: Path) -> dict[str, Any]:  # Any: as in `Arrays`
    import scipy.io  # imported here: only these files need it
    from scipy.io.matlab import MatReadError

    try:
        if _ends_its_process(stamp(path)):
            raise ValueError("no reader survives it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            for name, shape, _ in scipy.io.whosmat(path):
                require_size(int(np.prod(shape, dtype=np.float64)), f"{name} in {path}")
            held = scipy.io.loadmat(path, verify_compressed_data_integrity=True)
            for value in held.values():
                if hasattr(value, "check_format"):
                    value.check_format(full_check=True)  # wrong places in a sparse one are outside of memory
    except NotImplementedError:  # what scipy raises for HDF5
        found = f"{path} of MATLAB's version 7.3, which is HDF5"
        raise BadData(found, "version 7 or before", "save it by save(FILE, ..., '-v7')") from None
    except BadData:
        raise
    except (*_DAMAGED, MatReadError) as error:
        found = f"{path}, damaged or no MATLAB file ({error or type(error).__name__})"
        raise BadData(
            found, "a MATLAB file of version 7 or before", "save it again by save(FILE, ..., '-v7')"
        ) from None
    return {name: value for name, value in held.items() if name[:2] != "__" and hasattr(value, "dtype")}


def _features_name(held: Arrays, path: Path, config: BuildConfig) -> str:
    """The array that `config.key` names, or else the first of a usual name."""
    name = config.key or next((name for name in _FEATURES if name in held), _FEATURES[0])
    if name not in held:
        found = f"no array {name!r} in {path} (it has {some_of(held) or 'none'})"
        raise BadData(found, "features (n, D), a data set of PRTools, or a cell for each bag", "name it: key=NAME")
    return name


def _columns(held: Arrays, config: BuildConfig) -> dict[str, NDArray[Any]]:  # Any: as in `Rows`
    columns = dict[str, NDArray[Any]]()
    for key, usual in _NAMES.items():
        stated = getattr(config, key)
        names = usual if stated == getattr(BuildConfig, key) else (stated,)
        name = next((name for name in names if name in held), None)
        if name is not None:
            columns[key] = _flat(held[name])
    return columns


def _of_prtools(dataset: Any, path: Path) -> Rows:  # Any: an array of one struct, or of several
    """`data`, the numbers `nlab` of the labels in `lablist`, and the bags in `ident.milbag`."""
    try:
        fields = dataset.ravel()[0]
        bags = fields["ident"].ravel()[0]["milbag"]
        names = [None, *(str(_flat(name)[0]).strip() for name in _flat(fields["lablist"]))]  # 0 is unlabeled
        labels = np.array(names, object)[_flat(fields["nlab"]).astype(np.uint64)]
        return Rows(fields["data"], {ID: _flat(bags), LABEL: labels})
    except (ValueError, IndexError, TypeError) as error:
        found = f"a struct of {some_of(dataset.dtype.names)} in {path} ({error})"
        raise BadData(
            found, "PRTools' data, nlab, lablist and ident.milbag", "save features, bag_ids, labels"
        ) from None


def _of_cells(cells: NDArray[Any], held: Arrays, path: Path) -> Rows:  # Any: objects
    """A cell (n, D) for each bag, and its label beside it in the second column, or in an array of labels."""
    label = next((held[name] for name in _NAMES[LABEL] if name in held), None)
    if label is None and cells.ndim == 2 and cells.shape[1] == 2:
        bags, labels = list(cells[:, 0]), [_flat(cell) for cell in cells[:, 1]]
    else:
        bags, labels = list(cells.ravel()), [] if label is None else [_flat(one) for one in _flat(label)]
    if [len(one) for one in labels] != [1] * len(bags):
        found = f"{len(bags)} cells and {sum(map(len, labels))} labels in {path}"
        raise BadData(found, "a label for each bag, in its second column or in labels", "correct it")
    parts, numbers = [dense(bag, path) for bag in bags], np.arange(1, len(bags) + 1)
    widths = {part.shape[1] for part in parts}
    if len(widths) > 1:
        raise BadData(f"bags of {some_of(sorted(widths))} features in {path}", "the same number", "correct it")
    lengths = [len(part) for part in parts]
    columns = {ID: np.repeat(numbers, lengths), LABEL: np.repeat(np.concatenate(labels), lengths)}
    return Rows(np.concatenate(parts), columns)


def _flat(values: Any) -> NDArray[Any]:  # Any: as in `Arrays`
    return np.ravel(values.toarray() if hasattr(values, "toarray") else values)
