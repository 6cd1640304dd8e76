"""Numbers as the payload `features`: of the dtype wanted, bags laid end to end."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.errors import BadData


def ragged(feats_MD: NDArray[np.floating[Any]], offsets: NDArray[np.integer[Any]]) -> pa.LargeListArray:
    """Bags as an Arrow array: bag b is `feats_MD[offsets[b]:offsets[b + 1]]`."""
    flat = pa.array(np.ascontiguousarray(feats_MD).ravel())
    instances = pa.FixedSizeListArray.from_arrays(flat, feats_MD.shape[1])
    return pa.LargeListArray.from_arrays(pa.array(offsets.astype(np.int64)), instances)


def as_numbers(values: Any, dtype: str) -> NDArray[np.floating[Any]]:  # Any: what numpy takes
    """Values as `dtype`; raises BadData where a finite number becomes infinite."""
    wide = np.asarray(values)
    with np.errstate(over="ignore"):
        narrow: NDArray[np.floating[Any]] = wide.astype(dtype)
    finite = np.isfinite(wide)
    if finite.sum() != np.isfinite(narrow).sum():
        found = f"{np.abs(wide[finite]).max():g} among the features"
        wider = "--set dtype=float32, or " if dtype == "float16" else ""
        raise BadData(found, f"numbers that {dtype} holds", f"{wider}scale them")
    return narrow
