"""Warping on the CPU: a row's sampling places and weights, as vectors of pixels, then its features, along channels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._threads import num_threads, run_tasks
from ._vectors import fetch
from ._warp_simd import (
    LANES,
    LARGE,
    PADDING,
    aim,
    blend,
    copy,
    copy_around_cache,
    finite,
    subtract,
    subtract_around_cache,
)

_FEATURES_DAMAGED, _FLOW_DAMAGED, _MINUEND_DAMAGED = 1, 2, 4
_LEAST = 1 << 15  # floats of a task
_AHEAD = 1 << 15  # floats that memory is asked for ahead of their use
_CHUNK = 1024  # floats that are blended before they are written


def warp_cpu(
    features: NDArray[np.float32],
    flow: NDArray[np.float32],
    minuend: NDArray[np.float32] | None,
    out: NDArray[np.float32] | None,
    names: tuple[str, str],
) -> NDArray[np.float32]:
    """See ``vidprep.kernels.warp`` and ``warped_difference``; arguments are already checked.

    Without ``minuend`` returns the warped features, with it ``minuend`` less the features warped by the negative flow.
    ``names`` are those of features and minuend for errors.
    """
    if out is None:
        out = np.empty(features.shape, np.float32)
    height, width, channels = features.shape[-3:]
    samples, vectors, values = features.reshape(-1), flow.reshape(-1), out.reshape(-1)
    other = samples if minuend is None else minuend.reshape(-1)
    for array in (samples, vectors, other):
        array.flags.writeable = False  # of the view: one type for Numba, whether or not the caller's may be written to
    images = samples.size // (height * width * channels)
    rows = images * height
    tasks = min(rows, 4 * num_threads(), 1 + samples.size // _LEAST)
    damage = np.zeros(tasks, np.int64)
    around_cache = out.nbytes > LARGE
    shape = (height, width, channels)

    def work(i: int) -> None:
        bounds = (rows * i // tasks, rows * (i + 1) // tasks)
        damage[i] = _rows(samples, vectors, other, minuend is not None, shape, bounds, around_cache, values)

    run_tasks(work, tasks)
    damaged = int(np.bitwise_or.reduce(damage))
    if damaged & _FLOW_DAMAGED:
        raise ValueError("flow must be free of NaN; replace unknown vectors before warping")
    for name, bit in zip(names, (_FEATURES_DAMAGED, _MINUEND_DAMAGED), strict=True):
        if damaged & bit:
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    return out


@njit(nogil=True, cache=True)
def _rows(samples, vectors, minuend, subtracting, shape, bounds, around_cache, out):  # type: ignore[no-untyped-def]
    """Warp rows ``bounds[0]`` to ``bounds[1]``, counted through all images; return what was damaged."""
    height, width, channels = shape
    right = channels if width > 1 else 0
    below = width * channels if height > 1 else 0
    padded = -(-width // LANES) * LANES
    places, weights = np.empty(padded, np.int32), np.empty(4 * padded, np.float32)
    last_vectors = np.zeros(2 * LANES, np.float32)
    chunk = max(1, _CHUNK // channels)
    results = np.empty(chunk * channels + PADDING, np.float32)
    damage = 0
    reach = max(1, _AHEAD // (width * channels)) * width * channels
    sign = np.float32(-1) if subtracting else np.float32(1)
    for row in range(bounds[0], bounds[1]):
        y, begin = row % height, row * width * channels
        if not finite(samples, begin, width * channels):
            damage |= _FEATURES_DAMAGED
        if subtracting and not finite(minuend, begin, width * channels):
            damage |= _MINUEND_DAMAGED
        for x in range(0, width, LANES):
            index = 2 * (row * width + x)
            if x + LANES <= width:
                known = aim(vectors, index, sign, x, y, width, height, places, weights, x)
            else:
                for i in range(2 * (width - x)):
                    last_vectors[i] = vectors[index + i]
                known = aim(last_vectors, 0, sign, x, y, width, height, places, weights, x)
            if not known:
                damage |= _FLOW_DAMAGED
        image = (row - y) * width * channels
        ahead = min(reach, out.size - begin - width * channels)
        ahead_flow = ahead // channels * 2
        for x in range(0, width, chunk):
            count = min(chunk, width - x)
            if ahead > 0:
                for i in range(begin + x * channels + ahead, begin + (x + count) * channels + ahead, 16):
                    fetch(samples, i)
                    if subtracting:
                        fetch(minuend, i)
                for i in range(2 * (row * width + x) + ahead_flow, 2 * (row * width + x + count) + ahead_flow, 16):
                    fetch(vectors, i)
            blend(samples, image, places, weights, x, count, right, below, channels, results)
            index, size = begin + x * channels, count * channels
            if subtracting and around_cache:
                subtract_around_cache(results, minuend, out, index, size)
            elif subtracting:
                subtract(results, minuend, out, index, size)
            elif around_cache:
                copy_around_cache(results, samples, out, index, size)
            else:
                copy(results, samples, out, index, size)
    return damage
