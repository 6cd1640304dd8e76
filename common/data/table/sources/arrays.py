"""Feature bags from a folder with one npy, npz or h5 file of (n, D) numbers for each bag, and a CSV of labels.

The file's name is the bag's id, or where names repeat its path; npz and h5 files have the numbers under `features`.
Bags that are not in the CSV are unlabeled.
"""

import importlib.util
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.data.files_below import files_below
from negsift.common.data.table.schema import COLUMNS, Payload
from negsift.common.data.table.sources.feature_column import Features, feature_column, to_dtype
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.sources.tabular_files import (
    OPTIONAL,
    describe_rows,
    label_reader,
    read_batches,
    require_same,
)
from negsift.common.errors import BadData
from negsift.common.regular_file import regular

ENDINGS = (".npy", ".npz", ".h5")
_BATCH_BYTES = 32 << 20
Described = dict[str, tuple[list[str] | str | None, ...]]
"""Labels, split and group_id of each bag in the CSV."""
DESCRIBED = ("labels", *OPTIONAL)


def open_arrays(root: Path, config: BuildConfig) -> Source:
    """The bags of all files below `root`. Raises BadData for labels without a file, for files without (n, D) numbers,
    and for two of one id.
    """
    files = _files_by_id(root)
    table = Path(config.labels) if config.labels else root / "labels.csv"
    if not files or not table.exists():
        found = f"no {table}" if files else f"no {', '.join(ENDINGS)} below {root}{_others(root, table)}"
        raise BadData(found, "one file for each bag, and labels.csv", "correct --from, or labels=FILE")
    described = _describe(table, config)
    missing = sorted(described.keys() - files.keys())
    if missing:
        others = [str(path.relative_to(root)) for path in files.values() if path.stem == missing[0]]
        found = f"{len(missing)} bags of {table} without a file (first: {missing[0]})"
        if others:
            found = f"bag {missing[0]!r} of {table}, which has the files {', '.join(others[:3])}"
        raise BadData(found, "a file for each", "add them, or name files of one name by their folders")
    width = _read(next(iter(files.values()))).shape[1]
    return Source(Payload("features", config.dtype, (width,)), _tables(files, described, width, config.dtype))


def _others(root: Path, table: Path) -> str:
    """The endings of the files that are there instead."""
    endings = sorted({path.suffix for path in files_below(root) if path != table} - {""})
    return f" (it has {', '.join(endings[:8])})" if endings else ""


def _files_by_id(root: Path) -> dict[str, Path]:
    """The id of a file is its name, or where names repeat its path below `root`, both without the ending."""
    paths = sorted(path for path in files_below(root) if path.suffix in ENDINGS)
    times, files = Counter(path.stem for path in paths), dict[str, Path]()
    for path in paths:
        id = path.stem if times[path.stem] == 1 else path.relative_to(root).with_suffix("").as_posix()
        if id in files:
            raise BadData(f"{files[id]} and {path.name}, both bag {id!r}", "one file for a bag", "rename one")
        files[id] = path
    return files


def _describe(path: Path, config: BuildConfig) -> Described:
    table = pa.concat_tables(read_batches(path, config, pa.string()))
    rows = describe_rows(table, config, label_reader(table.schema, path, config)).to_pylist()
    described: Described = {}
    for row in rows:
        values = (row["labels"], row.get("split"), row.get("group_id"))
        for name, one, other in zip(DESCRIBED, described.setdefault(row["bag_id"], values), values, strict=True):
            require_same(row["bag_id"], name, one, other)
    return described


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
        for column, values in zip(DESCRIBED, zip(*rows, strict=True), strict=True)
    }
    return pa.table({"bag_id": list(names)} | columns | {"features": feature_column(np.concatenate(arrays), offsets)})


def _read(path: Path) -> NDArray[Any]:  # Any: of the file's dtype
    source = regular(path)
    try:
        features = _open(source)
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        # numpy's own text advises to unpickle the file, which may run any code.
        reason = "no array of numbers" if "pickle" in str(error) else error
        raise BadData(f"{path} unreadable ({reason})", "features (n, D)", "repair or remove it") from None
    if features.ndim != 2 or not features.size or features.dtype.kind not in "iuf":
        raise BadData(f"{features.dtype}{features.shape} in {path}", "real numbers (n, D)", "repair or remove it")
    return features


def _open(path: Path) -> NDArray[Any]:  # Any: as above
    if path.suffix == ".h5":
        if importlib.util.find_spec("h5py") is None:
            raise BadData(f"{path}, but no h5py installed", "h5py", "pip install h5py, or convert to npz")
        import h5py  # imported here: only these files need it

        with h5py.File(path) as opened:
            return np.asarray(opened["features"])
    if path.suffix == ".npy":
        return np.asarray(np.load(path, mmap_mode="r"))  # mapped, an array larger than its file is told at once
    return np.asarray(np.load(path)["features"])
