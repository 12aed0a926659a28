"""Patch features on the CPU: in integers, so that flat patches come out as exactly zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ._threads import num_threads, run_tasks
from ._vectors import FLOAT, load, pointer_to, splat, store

LANES = 8  # at least half the side of a patch

_RED, _GREEN, _BLUE = 77, 150, 29  # 256ths


def zncc_features_cpu(frames: NDArray[np.uint8], patch: int, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """See ``vidprep.kernels.features.zncc_features``; arguments are already checked."""
    frames = np.ascontiguousarray(frames)
    count, height = frames.shape[:2]
    features = np.empty((*frames.shape[:3], patch * patch), np.float32) if out is None else out
    bands = min(height, 2 * num_threads())

    def work(i: int) -> None:
        t, band = divmod(i, bands)
        _patches(frames[t], height * band // bands, height * (band + 1) // bands, patch, features[t])

    run_tasks(work, count * bands)
    return features


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


@intrinsic  # type: ignore[untyped-decorator]
def _differences(
    typing_context: Any, samples: Any, index: Any, times: Any, less: Any, scale: Any, out: Any, out_index: Any
) -> Any:
    """Write ``out[out_index + j] = (samples[index + j] * times - less) * scale``, float32, for ``LANES`` j."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, i, *factors, out_array, o = args
        vector = ir.VectorType(FLOAT, LANES)
        values = load(builder, pointer_to(context, builder, samples, array, i), vector)
        area, total, last = (splat(builder, factor, LANES) for factor in factors)
        result = builder.fmul(builder.fsub(builder.fmul(values, area), total), last)
        store(builder, result, pointer_to(context, builder, out, out_array, o))
        return context.get_dummy_value()

    n, real = types.intp, types.float32
    return types.void(samples, n, real, real, real, out, n), generate


@njit(nogil=True, cache=True)
def _patches(frame, begin, end, patch, out):  # type: ignore[no-untyped-def]
    """Write the features of rows ``begin`` to ``end``; the grey rows of their patches are kept in a ring.

    All sums are integers below 2^24, so floats are exact but for the last product.
    """
    height, width, r = frame.shape[0], frame.shape[1], patch // 2
    area, scale = np.float32(patch * patch), np.float32(1 / (256 * patch * patch))
    length = width + 2 * r + LANES
    ring = np.zeros(patch * length, np.float32)
    columns = np.empty(width + 2 * r, np.float32)
    rows = np.empty(patch, np.int64)  # of a patch, where they are in the ring
    features = out.reshape(-1)
    for y in range(begin - r, begin + r):
        _grey_row(frame[min(max(y, 0), height - 1)], r, ring[y % patch * length :][: width + 2 * r])
    for y in range(begin, end):
        _grey_row(frame[min(y + r, height - 1)], r, ring[(y + r) % patch * length :][: width + 2 * r])
        columns[:] = 0
        for i in range(patch):
            row = ring[i * length :]
            for x in range(width + 2 * r):
                columns[x] += row[x]
        total = np.float32(0)
        for x in range(patch - 1):
            total += columns[x]
        for i in range(patch):
            rows[i] = (y - r + i) % patch * length
        for x in range(width):
            total += columns[x + patch - 1]
            pixel = (y * width + x) * patch * patch
            for i in range(patch):
                row = rows[i] + x
                if patch >= LANES:
                    _differences(ring, row, area, total, scale, features, pixel + i * patch)
                    more = patch - LANES
                    _differences(ring, row + more, area, total, scale, features, pixel + i * patch + more)
                elif x < width - 1:  # what it writes beyond the row belongs to later ones, and to the next pixel
                    _differences(ring, row, area, total, scale, features, pixel + i * patch)
                else:
                    for j in range(patch):
                        features[pixel + i * patch + j] = (ring[row + j] * area - total) * scale
            total -= columns[x]
