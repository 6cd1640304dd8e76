"""Feature arrays as the payload column `features`, and what else is known of their instances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from negsift.common.data.table.schema import OF_INSTANCES
from negsift.common.errors import BadData

Features = NDArray[np.float16 | np.float32]
"""Instance features (M, D)."""


def feature_column(feats_MD: Features, offsets: NDArray[np.int64]) -> pa.LargeListArray:
    """The bags as an Arrow array: bag b is `feats_MD[offsets[b]:offsets[b + 1]]`."""
    flat = pa.array(np.ascontiguousarray(feats_MD).ravel())
    instances = pa.FixedSizeListArray.from_arrays(flat, feats_MD.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), instances)


def coords_column(coords: Sequence[NDArray[Any] | None]) -> pa.LargeListArray:  # Any: of the files' dtypes
    """The places (x, y) of each bag's instances as an Arrow array; null for a bag without them."""
    lengths = [0 if some is None else len(some) for some in coords]
    known = [np.asarray(some, dtype=np.float32) for some in coords if some is not None]
    ends = [None if some is None else end for some, end in zip(coords, np.cumsum([0, *lengths])[:-1], strict=True)]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(known).ravel()), 2)
    return pa.LargeListArray.from_arrays(pa.array([*ends, sum(lengths)], pa.int64()), flat)


def instance_label_column(labels: Sequence[NDArray[np.int8] | None]) -> pa.LargeListArray:
    """The labels of each bag's instances as an Arrow array; null for a bag without them."""
    return pa.array([None if some is None else some.tolist() for some in labels], OF_INSTANCES["instance_labels"])


def to_dtype(values: ArrayLike, dtype: str) -> Features:
    """The values as float16 or float32. Raises BadData for other than real numbers, and where a finite one would become
    infinite.
    """
    wide = np.asarray(values)
    if wide.dtype.kind not in "iuf":
        raise BadData(f"features of type {wide.dtype}", "real numbers", "convert them")
    with np.errstate(over="ignore"):
        narrow: Features = wide.astype(dtype)
    finite = np.isfinite(wide)
    if finite.sum() != np.isfinite(narrow).sum():
        found = f"{np.abs(wide[finite]).max():g} among the features"
        wider = "dtype=float32, or " if dtype == "float16" else ""
        raise BadData(found, f"numbers that {dtype} holds", f"{wider}scale them")
    return narrow
