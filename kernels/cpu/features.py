"""Patch features on the CPU: in integers, so that flat patches come out as exactly zero."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._threads import num_threads, run_tasks

_RED, _GREEN, _BLUE = 77, 150, 29  # 256ths


def zncc_features_cpu(frames: NDArray[np.uint8], patch: int) -> NDArray[np.float32]:
    """See ``vidprep.kernels.features.zncc_features``; arguments are already checked."""
    frames = np.ascontiguousarray(frames)
    count, height = frames.shape[:2]
    out = np.empty((*frames.shape[:3], patch * patch), np.float32)
    bands = min(height, 2 * num_threads())

    def work(i: int) -> None:
        t, band = divmod(i, bands)
        _patches(frames[t], height * band // bands, height * (band + 1) // bands, patch, out[t])

    run_tasks(work, count * bands)
    return out


@njit(nogil=True, cache=True)
def _grey_row(row, r, out):  # type: ignore[no-untyped-def]
    """Write a row in 256ths of grey levels, with ``r`` more pixels at either end."""
    width = row.shape[0]
    if row.shape[1] == 3:
        for x in range(width):
            out[r + x] = _RED * row[x, 0] + _GREEN * row[x, 1] + _BLUE * row[x, 2]
    else:
        for x in range(width):
            out[r + x] = 256 * np.int32(row[x, 0])
    out[:r] = out[r]
    out[r + width :] = out[r + width - 1]


@njit(nogil=True, cache=True)
def _patches(frame, begin, end, patch, out):  # type: ignore[no-untyped-def]
    """Write the features of rows ``begin`` to ``end``; the grey rows of their patches are kept in a ring."""
    height, width, r = frame.shape[0], frame.shape[1], patch // 2
    area = np.int32(patch * patch)
    ring = np.empty((patch, width + 2 * r), np.int32)
    columns = np.empty(width + 2 * r, np.int32)
    scale = np.float32(1 / (256 * patch * patch))
    for y in range(begin - r, begin + r):
        _grey_row(frame[min(max(y, 0), height - 1)], r, ring[y % patch])
    for y in range(begin, end):
        _grey_row(frame[min(y + r, height - 1)], r, ring[(y + r) % patch])
        columns[:] = 0
        for row in ring:
            for x in range(width + 2 * r):
                columns[x] += row[x]
        total = np.int32(0)
        for x in range(patch - 1):
            total += columns[x]
        for x in range(width):
            total += columns[x + patch - 1]
            pixel = out[y, x]
            for i in range(patch):
                row = ring[(y - r + i) % patch]
                for j in range(patch):
                    # below 2^24 in size: exact, also as a float
                    pixel[i * patch + j] = np.float32(area * row[x + j] - total) * scale
            total -= columns[x]
