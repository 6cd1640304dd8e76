"""Names for the arrays that rooms exchange."""

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Floats = NDArray[np.float64]
Array = NDArray[np.float32] | NDArray[np.float64]
