"""Feature bags from a folder with one npy, npz or h5 file of (n, D) numbers for each bag, and a CSV of labels.

The file's name is the bag's id; npz and h5 files have the numbers under `features`. Bags that are not in the CSV
are unlabeled.
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
from negsift.common.data.table.sources.feature_column import Features, feature_column, to_dtype
from negsift.common.data.table.sources.source import BuildConfig, Source, as_labels
from negsift.common.data.table.sources.tabular_files import OPTIONAL, label_column, read_text_csv
from negsift.common.errors import BadData

ENDINGS = (".npy", ".npz", ".h5")
_BATCH_BYTES = 32 << 20
Described = dict[str, tuple[list[str] | str | None, ...]]
"""Labels, split and group_id of each bag in the CSV."""


def open_arrays(root: Path, config: BuildConfig) -> Source:
    """The bags of all files below `root`. Raises BadData for labels without a file and files without (n, D) numbers."""
    files = {path.stem: path for path in sorted(root.rglob("*")) if path.suffix in ENDINGS}
    table = Path(config.labels) if config.labels else root / "labels.csv"
    if not files or not table.is_file():
        found = f"no {table}" if files else f"no {', '.join(ENDINGS)} below {root}"
        raise BadData(found, "one file for each bag, and labels.csv", "correct --from, or labels=FILE")
    described = _describe(read_text_csv(table, config), config)
    missing = sorted(set(described) - set(files))
    if missing:
        found = f"{len(missing)} bags of {table} without a file (first: {missing[0]})"
        raise BadData(found, "a file for each", "add them")
    width = _read(next(iter(files.values()))).shape[1]
    return Source(Payload("features", config.dtype, (width,)), _tables(files, described, width, config.dtype))


def _describe(table: pa.Table, config: BuildConfig) -> Described:
    optional = [name for name in OPTIONAL if name in table.column_names]
    columns = [as_labels(table[label_column(table.column_names, config)]), *(table[name] for name in optional)]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    blank = dict.fromkeys(OPTIONAL)
    return {
        name: (labels, *(blank | dict(zip(optional, rest, strict=True))).values())
        for name, (labels, *rest) in zip(table[config.id_column].to_pylist(), rows, strict=True)
    }


def _tables(files: dict[str, Path], described: Described, width: int, dtype: str) -> Iterator[pa.Table]:
    names, arrays = list[str](), list[Features]()
    for name, path in files.items():
        features = _read(path)
        if features.shape[1] != width:
            raise BadData(f"{path} of {features.shape[1]} features", f"{width}, as in the first file", "repair it")
        names.append(name)
        arrays.append(to_dtype(features, dtype))
        if sum(array.nbytes for array in arrays) >= _BATCH_BYTES:
            yield _table(names, arrays, described)
            names, arrays = [], []
    if names:
        yield _table(names, arrays, described)


def _table(names: Sequence[str], arrays: Sequence[Features], described: Described) -> pa.Table:
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    rows = [described.get(name, (None, None, None)) for name in names]
    columns = {
        column: pa.array(list(values), COLUMNS[column])
        for column, values in zip(("labels", *OPTIONAL), zip(*rows, strict=True), strict=True)
    }
    return pa.table({"bag_id": list(names)} | columns | {"features": feature_column(np.concatenate(arrays), offsets)})


def _read(path: Path) -> NDArray[Any]:  # Any: of the file's dtype
    try:
        features = _open(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadData(f"{path} unreadable ({error})", "features (n, D)", "repair or remove it") from None
    if features.ndim != 2 or not features.size or not np.issubdtype(features.dtype, np.number):
        raise BadData(f"{features.dtype}{features.shape} in {path}", "numbers (n, D)", "repair or remove it")
    return features


def _open(path: Path) -> NDArray[Any]:  # Any: as above
    if path.suffix == ".h5":
        if importlib.util.find_spec("h5py") is None:
            raise BadData(f"{path}, but no h5py installed", "h5py", "pip install h5py, or convert to npz")
        import h5py  # imported here: only these files need it

        with h5py.File(path) as opened:
            return np.asarray(opened["features"])
    opened = np.load(path)
    return np.asarray(opened if path.suffix == ".npy" else opened["features"])
