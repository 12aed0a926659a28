"""Rounding to small integers on the CPU, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def quantise_cpu(
    values: NDArray[np.float32], factor: float, zero: int, limits: tuple[int, int], out: NDArray[Any]
) -> None:
    """Write ``values * factor``, rounded to even, ``+ zero``, held within ``limits``.

    Parameters
    ----------
    values
        Finite float32.
    factor, zero, limits
        In steps of what is stored; ``limits`` fit its type.
    out
        Of the same shape, int8 or uint8, C-contiguous.
    """
    assert out.flags.c_contiguous, "what reshape copies would not be written"
    low, high = (np.float32(limit - zero) for limit in limits)
    _quantise(values.reshape(-1), np.float32(factor), low, high, np.int32(zero), out.reshape(-1))


@njit(nogil=True, cache=True)
def _quantise(values, factor, low, high, zero, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = np.int32(min(max(np.rint(values[i] * factor), low), high)) + zero
