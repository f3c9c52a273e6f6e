"""The array types that the modules of this package pass to one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int16]
Booleans = npt.NDArray[np.bool_]
