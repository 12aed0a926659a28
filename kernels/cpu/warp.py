"""Warping on the CPU: where pixels sample, as vectors of pixels, then their features.

There are three ways, by the number of channels: few (``_warp_few``), whole cache lines (``_warp_lines``), and any.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._threads import num_threads, run_tasks
from ._vectors import fetch
from ._warp_few import LONGEST_FEW, warp_few
from ._warp_lines import (
    MASKED_LOADS,
    subtract_lines,
    subtract_lines_around_cache,
    warp_lines,
    warp_lines_around_cache,
    weigh,
)
from ._warp_simd import (
    FEATURES_DAMAGED,
    FLOW_DAMAGED,
    LANES,
    LARGE,
    MINUEND_DAMAGED,
    MOST_PAIRED,
    OUTSIDE,
    PADDING,
    UNKNOWN,
    aim,
    blend,
    copy,
    copy_around_cache,
    finite,
    subtract,
    subtract_around_cache,
)

_LEAST = 1 << 15  # floats of a task
_AHEAD = 1 << 16  # floats that memory is asked for ahead of their use
_AHEAD_OF_FEW = 1 << 15
_CHUNK = 512  # floats that are blended before they are written


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
    height, width, channels = shape = features.shape[-3:]
    pixels = features.size // channels
    few = channels <= MOST_PAIRED and pixels >= width + 2 * LANES and max(height, width) < LONGEST_FEW
    if not few and width < LANES:  # rows of at least a vector
        flow = np.pad(flow, [(0, 0)] * (flow.ndim - 2) + [(0, LANES - width), (0, 0)])
    samples, vectors, values = features.reshape(-1), flow.reshape(-1), out.reshape(-1)
    other = samples if minuend is None else minuend.reshape(-1)
    for array in (samples, vectors, other):
        array.flags.writeable = False  # of the view: one type for Numba, whether or not the caller's may be written to
    units = pixels // LANES if few else pixels // width
    tasks = min(units, 4 * num_threads(), 1 + samples.size // _LEAST)
    damage = [0] * tasks
    around_cache = out.nbytes > LARGE
    subtracting = minuend is not None
    by_lines = MASKED_LOADS and channels % LANES == 0 and width >= LANES

    def work(i: int) -> None:
        begin, end = units * i // tasks, units * (i + 1) // tasks
        if few:
            begin, end = begin * LANES, pixels if end == units else end * LANES
            damage[i] = _pixels(samples, vectors, other, subtracting, shape, (begin, end), around_cache, values)
        else:
            damage[i] = _rows(samples, vectors, other, subtracting, shape, (begin, end), around_cache, by_lines, values)

    run_tasks(work, tasks)
    damaged = 0
    for bits in damage:
        damaged |= bits
    if damaged & FLOW_DAMAGED:
        raise ValueError("flow must be free of NaN; replace unknown vectors before warping")
    for name, bit in zip(names, (FEATURES_DAMAGED, MINUEND_DAMAGED), strict=True):
        if damaged & bit:
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    return out


@njit(nogil=True, cache=True)
def _pixels(samples, vectors, minuend, subtracting, shape, bounds, around_cache, out):  # type: ignore[no-untyped-def]
    """Warp pixels ``bounds[0]`` to ``bounds[1]``, counted through all images; return what was damaged."""
    height, width, channels = shape
    begin, end = bounds
    places = np.empty(2 * LANES, np.float32)
    results = np.empty(_CHUNK, np.float32)
    chunk = _CHUNK // (channels * LANES) * LANES
    ahead = _AHEAD_OF_FEW // channels
    sign = np.float32(-1) if subtracting else np.float32(1)
    damage = 0
    pixel = begin
    while pixel < end:
        count = min(chunk, (end - pixel) // LANES * LANES)
        known = 0  # pixels of the last vector that were warped before
        if count == 0:
            known = LANES - (end - pixel)
            pixel, count = end - LANES, LANES
        if pixel == begin or known > 0:
            for i in range(LANES):
                places[i] = (pixel + i) % width
                places[LANES + i] = (pixel + i) // width % height
        if subtracting or around_cache:
            damage |= warp_few(samples, vectors, sign, places, pixel, count, height, width, channels, ahead, results, 0)
            skipped = known * channels
            index, size = pixel * channels + skipped, count * channels - skipped
            damage |= _write(results, skipped, minuend, subtracting, ahead * channels, around_cache, out, index, size)
        else:
            damage |= warp_few(
                samples, vectors, sign, places, pixel, count, height, width, channels, ahead, out, pixel * channels
            )
        pixel += count
    return damage


@njit(nogil=True, cache=True)
def _rows(  # type: ignore[no-untyped-def]
    samples, vectors, minuend, subtracting, shape, bounds, around_cache, by_lines, out
):
    """Warp rows ``bounds[0]`` to ``bounds[1]``, counted through all images; return what was damaged."""
    height, width, channels = shape
    right = channels if width > 1 else 0
    below = width * channels if height > 1 else 0
    chunk = max(8 if by_lines else 1, _CHUNK // (channels * LANES)) * LANES
    most = chunk + LANES  # pixels, as no chunk is less than a vector
    places = np.zeros(most, np.int32)  # in the image from the start: groups of pixels may reach behind a row
    to_right, down = np.zeros(most, np.float32), np.zeros(most, np.float32)
    weights = np.empty(4 * most if by_lines else 0, np.float32)
    found = np.zeros(most // LANES, np.int64)
    results = np.empty(0 if by_lines else most * channels + PADDING, np.float32)
    damage = 0
    sign = np.float32(-1) if subtracting else np.float32(1)
    row_vectors = max(width, LANES)
    ahead = _AHEAD // channels * channels if around_cache else 0
    for row in range(bounds[0], bounds[1]):
        y = row % height
        image = (row - y) * width * channels
        for x in range(0, max(1, width - LANES + 1), chunk):
            count = chunk if x + most <= width else width - x
            last = max(0, count - LANES)  # the last vector overlaps that before
            num_vectors = -(-count // LANES)
            unusual = 0
            for i in range(num_vectors):
                at = min(i * LANES, last)
                index = 2 * (row * row_vectors + x + at)
                found[i] = aim(vectors, index, sign, x + at, y, width, height, places, to_right, down, at)
                unusual |= found[i]
                if around_cache:
                    fetch(vectors, index + 2 * (ahead // channels))
                    fetch(vectors, index + 2 * (ahead // channels) + LANES)
                if by_lines:
                    weigh(to_right, down, at, found[i] & OUTSIDE, weights)
            if unusual & UNKNOWN:
                damage |= FLOW_DAMAGED
            index, size = (row * width + x) * channels, count * channels
            if by_lines:
                damage |= _write_lines(
                    samples, image, places, weights, count, right, below, channels, ahead, minuend, subtracting,
                    around_cache, out, index,
                )  # fmt: skip
                continue
            if not finite(samples, index, size):
                damage |= FEATURES_DAMAGED
            blend(samples, image, places, to_right, down, count, right, below, channels, index + ahead, results)
            if unusual & OUTSIDE:
                for i in range(num_vectors):
                    at = min(i * LANES, last)
                    for k in range(min(LANES, count) if found[i] & OUTSIDE else 0):
                        if found[i] >> k & 1:
                            results[(at + k) * channels : (at + k + 1) * channels] = 0
            damage |= _write(results, 0, minuend, subtracting, ahead, around_cache, out, index, size)
    return damage


@njit(nogil=True)
def _write(  # type: ignore[no-untyped-def]
    results, first, minuend, subtracting, ahead, around_cache, out, index, size
):
    """Write out what was blended; return what was damaged."""
    if subtracting and around_cache:
        return subtract_around_cache(results, first, minuend, ahead, out, index, size)
    if subtracting:
        return subtract(results, first, minuend, ahead, out, index, size)
    if around_cache:
        return copy_around_cache(results, first, minuend, ahead, out, index, size)
    return copy(results, first, minuend, ahead, out, index, size)


@njit(nogil=True)
def _write_lines(  # type: ignore[no-untyped-def]
    samples, image, places, weights, count, right, below, channels, ahead, minuend, subtracting, around_cache,
    out, index,
):  # fmt: skip
    """Blend and write; return what was damaged."""
    if subtracting and around_cache:
        return subtract_lines_around_cache(
            samples, image, places, weights, count, right, below, channels, ahead, minuend, out, index
        )
    if subtracting:
        return subtract_lines(
            samples, image, places, weights, count, right, below, channels, ahead, minuend, out, index
        )
    if around_cache:
        return warp_lines_around_cache(
            samples, image, places, weights, count, right, below, channels, ahead, minuend, out, index
        )
    return warp_lines(samples, image, places, weights, count, right, below, channels, ahead, minuend, out, index)
