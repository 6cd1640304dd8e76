"""Feature bags from a folder with one file a bag: npy, npz or h5 with (n, D) numbers, and a CSV of labels.

The file's name is the bag's id; npz and h5 hold the numbers as `features`. Bags that the CSV doesn't
name are unlabeled.
"""

import importlib.util
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.data.table.schema import COLUMNS, Payload
from negsift.common.data.table.sources.files import OPTIONAL, label_column, read_csv
from negsift.common.data.table.sources.ragged import as_numbers, ragged
from negsift.common.data.table.sources.source import BuildConfig, Source, as_labels
from negsift.common.errors import BadData

ENDINGS = (".npy", ".npz", ".h5")
_BATCH_BYTES = 32 << 20
Described = dict[str, tuple[Any, ...]]


def open_arrays(root: Path, config: BuildConfig) -> Source:
    """Bags of all files below `root`; raises BadData for labels without a file and files that hold no (n, D)."""
    files = {path.stem: path for path in sorted(root.rglob("*")) if path.suffix in ENDINGS}
    table = Path(config.labels) if config.labels else root / "labels.csv"
    if not files or not table.is_file():
        found = f"no {table}" if files else f"no {', '.join(ENDINGS)} below {root}"
        raise BadData(found, "a file a bag, and labels.csv", "correct --from, or --set labels=FILE")
    known = _described(read_csv(table, config), config)
    missing = sorted(set(known) - set(files))
    if missing:
        raise BadData(f"{len(missing)} bags of {table} without a file (first: {missing[0]})", "one each", "add them")
    width = _read(next(iter(files.values()))).shape[1]
    return Source(Payload("features", config.dtype, (width,)), _tables(files, known, width, config.dtype))


def _described(table: pa.Table, config: BuildConfig) -> Described:
    optional = [name for name in OPTIONAL if name in table.column_names]
    columns = [as_labels(table[label_column(table.column_names, config)]), *(table[name] for name in optional)]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    blank = dict.fromkeys(OPTIONAL)
    return {
        name: (labels, *(blank | dict(zip(optional, rest, strict=True))).values())
        for name, (labels, *rest) in zip(table[config.id_column].to_pylist(), rows, strict=True)
    }


def _tables(files: dict[str, Path], known: Described, width: int, dtype: str) -> Iterator[pa.Table]:
    names, arrays = list[str](), list[NDArray[Any]]()
    for name, path in files.items():
        features = _read(path)
        if features.shape[1] != width:
            raise BadData(f"{path} of {features.shape[1]} features", f"{width}, as in the first file", "repair it")
        names.append(name)
        arrays.append(as_numbers(features, dtype))
        if sum(array.nbytes for array in arrays) >= _BATCH_BYTES:
            yield _table(names, arrays, known)
            names, arrays = [], []
    if names:
        yield _table(names, arrays, known)


def _table(names: Sequence[str], arrays: Sequence[NDArray[Any]], known: Described) -> pa.Table:
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])])
    rows = [known.get(name, (None, None, None)) for name in names]
    described = {
        column: pa.array(list(values), COLUMNS[column])
        for column, values in zip(("labels", *OPTIONAL), zip(*rows, strict=True), strict=True)
    }
    return pa.table({"bag_id": list(names)} | described | {"features": ragged(np.concatenate(arrays), offsets)})


def _read(path: Path) -> NDArray[Any]:
    try:
        features = _open(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadData(f"{path} unreadable ({error})", "features (n, D)", "repair or remove it") from None
    if features.ndim != 2 or not features.size or not np.issubdtype(features.dtype, np.number):
        raise BadData(f"{features.dtype}{features.shape} in {path}", "numbers (n, D)", "repair or remove it")
    return features


def _open(path: Path) -> NDArray[Any]:
    if path.suffix == ".h5":
        if importlib.util.find_spec("h5py") is None:
            raise BadData(f"{path}, but no h5py installed", "h5py", "pip install h5py, or convert to npz")
        import h5py  # imported here: only these files need it

        with h5py.File(path) as opened:
            return np.asarray(opened["features"])
    opened = np.load(path)
    return np.asarray(opened if path.suffix == ".npy" else opened["features"])
