"""Warping on the CPU: where a chunk of a row samples, as vectors of pixels, then its features.

Pixels of few channels that sample side by side, as most do where motion is smooth, are vectors there, too; of others,
each is a vector of channels.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._threads import num_threads, run_tasks
from ._vectors import fetch
from ._warp_simd import (
    LANES,
    LARGE,
    MOST_PAIRED,
    OUTSIDE,
    PADDING,
    SIDE_BY_SIDE,
    UNKNOWN,
    aim,
    blend,
    blend_run,
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
    if width < LANES:  # rows of at least a vector
        flow = np.pad(flow, [(0, 0)] * (flow.ndim - 2) + [(0, LANES - width), (0, 0)])
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
    chunk = max(1, _CHUNK // (channels * LANES)) * LANES
    most = chunk + LANES  # pixels, as no chunk is less than a vector
    places = np.zeros(most, np.int32)  # in the image from the start: groups of pixels may reach behind a row
    to_right, down = np.zeros(most, np.float32), np.zeros(most, np.float32)
    found = np.zeros(most // LANES, np.int64)
    results = np.empty(most * channels + PADDING, np.float32)
    damage = 0
    sign = np.float32(-1) if subtracting else np.float32(1)
    row_vectors = max(width, LANES)
    few = channels <= MOST_PAIRED and width > 1
    reach = max(1, _AHEAD // (width * channels)) * width * channels
    for row in range(bounds[0], bounds[1]):
        y, begin = row % height, row * width * channels
        if not finite(samples, begin, width * channels):
            damage |= _FEATURES_DAMAGED
        if subtracting and not finite(minuend, begin, width * channels):
            damage |= _MINUEND_DAMAGED
        image = (row - y) * width * channels
        ahead = min(reach, out.size - begin - width * channels)
        ahead_flow = ahead // channels * 2
        for x in range(0, max(1, width - LANES + 1), chunk):
            count = chunk if x + most <= width else width - x
            last = max(0, count - LANES)  # the last vector overlaps that before
            if ahead > 0:
                for i in range(begin + x * channels + ahead, begin + (x + count) * channels + ahead, 16):
                    fetch(samples, i)
                    if subtracting:
                        fetch(minuend, i)
                flow_begin = 2 * (row * row_vectors + x) + ahead_flow
                for i in range(flow_begin, flow_begin + 2 * count, 16):
                    fetch(vectors, i)
            num_vectors = -(-count // LANES)
            for i in range(num_vectors):
                at = min(i * LANES, last)
                index = 2 * (row * row_vectors + x + at)
                found[i] = aim(vectors, index, sign, x + at, y, width, height, places, to_right, down, at)
            i = unusual = 0
            while i < num_vectors:
                at, end = min(i * LANES, last), i + 1
                if few and found[i] == SIDE_BY_SIDE:
                    place = image + places[at] * channels
                    blend_run(samples, place, to_right, down, at, below, channels, results, at * channels)
                else:
                    unusual |= found[i]
                    while end < num_vectors and not (few and found[end] == SIDE_BY_SIDE):
                        unusual |= found[end]
                        end += 1
                    used = min(end * LANES, count) - at
                    blend(
                        samples, image, places, to_right, down, at, used, right, below, channels, results, at * channels
                    )
                i = end
            if unusual & UNKNOWN:
                damage |= _FLOW_DAMAGED
            if unusual & OUTSIDE:
                for i in range(num_vectors):
                    at = min(i * LANES, last)
                    for k in range(min(LANES, count) if found[i] & OUTSIDE else 0):
                        if found[i] >> k & 1:
                            results[(at + k) * channels : (at + k + 1) * channels] = 0
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
