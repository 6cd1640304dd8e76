"""Feature arrays as the payload column `features`."""

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from negsift.common.errors import BadData

Features = NDArray[np.float16 | np.float32]
"""Instance features (M, D)."""


def feature_column(feats_MD: Features, offsets: NDArray[np.int64]) -> pa.LargeListArray:
    """The bags as an Arrow array: bag b is `feats_MD[offsets[b]:offsets[b + 1]]`."""
    flat = pa.array(np.ascontiguousarray(feats_MD).ravel())
    instances = pa.FixedSizeListArray.from_arrays(flat, feats_MD.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), instances)


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
