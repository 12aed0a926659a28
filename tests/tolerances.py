"""How far results may be from a float64 reference, for all tests: one table, from operation and type to ``atol``.

Between devices nothing is allowed: operations on integers give the same bytes everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The largest absolute difference from the unrounded reference, in the units of the result.
_ATOL = {
    ("cost_volume", "float32"): 1e-6,  # cosines: rounding of sums of some hundred products
    ("displacement", "float32"): 1e-4,  # pixels; a temperature of 0.02 multiplies errors of similarities by 50
    ("residual", "uint8"): 0.0,
    ("residual", "int16"): 0.0,
    ("residual", "float32"): 1e-4,  # half a unit in the last place of differences up to 510
    ("resized_crop", "float32"): 1e-4,  # of values up to 255: weights and sums of float32
    ("resized_crop", "float16"): 0.0626,  # half a unit in the last place of values up to 255
    ("tvl1_iteration", "float32"): 2e-6,  # pixels, of flows of a few pixels, and dual vectors of length 1 at most
    ("tvl1_data_term", "float32"): 1e-3,  # grey levels over grey levels a pixel: rho reaches some hundreds of pixels
    ("tvl1_median", "float32"): 0.0,
    ("tvl1_pyramid", "float32"): 1e-4,  # grey levels of 0 to 255
    ("tvl1_flow", "float32"): 2e-3,  # pixels, after some dozens of iterations from differently rounded data terms
    ("warp", "float32"): 2e-6,  # of features of a few units
    ("yuv_to_rgb", "uint8"): 1.0,  # one grey level: half of it is rounding, the rest fixed-point filters and matrices
    ("zncc_features", "float32"): 2e-5,  # grey levels: half a unit in the last place of 255, twice
}


def atol(operation: str, dtype: Any) -> float:
    """Return the absolute tolerance of an operation whose result has this type."""
    return _ATOL[operation, np.dtype(dtype).name]


def assert_matches_reference(operation: str, result: np.ndarray, reference: np.ndarray) -> None:
    """Check a result against its float64 reference, by the table."""
    assert reference.dtype == np.float64
    assert result.shape == reference.shape
    np.testing.assert_allclose(result.astype(np.float64), reference, rtol=0, atol=atol(operation, result.dtype))
