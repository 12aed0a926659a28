"""Grey levels of RGB frames on the CPU, in one pass."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def grey_cpu(frames: NDArray[np.uint8], weights: tuple[int, int, int], out: NDArray[np.float32]) -> None:
    """Write ``weights`` times red, green and blue in 256ths, exactly.

    Parameters
    ----------
    frames
        ``(..., 3)`` uint8.
    weights
        Of red, green and blue, 256 in sum.
    out
        ``(...)`` float32, 0..255, C-contiguous.
    """
    assert out.flags.c_contiguous, "what reshape copies would not be written"
    _grey(np.ascontiguousarray(frames).reshape(-1), *(np.int32(weight) for weight in weights), out.reshape(-1))


@njit(nogil=True, cache=True)
def _grey(samples, red, green, blue, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        total = red * samples[3 * i] + green * samples[3 * i + 1] + blue * samples[3 * i + 2]
        out[i] = np.float32(total) * np.float32(1 / 256)  # below 2^16: exact
