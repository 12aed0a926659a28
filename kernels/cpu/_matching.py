"""What cost volume and displacement share on the CPU: unit features in planes, and their dot products.

An image pair is cut into strips, a few vectors wide, and bands of rows. A strip is walked down in groups of
``MAX_ROWS`` rows of the first image; the rows of the second that their windows reach lie in a ring. Rows are kept as
one line per channel, transposed and brought to unit length once, small enough together for the L2 cache.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._matching_simd import LANES, MAX_COLUMNS, MAX_ROWS, PIXELS, correlate, unit_pixels
from ._threads import num_threads, run_tasks
from ._vectors import address_of

_RING_FLOATS = 128 * 1024  # of the L2 cache
_WIDEST = 8  # vectors of a strip

FEATURES0_DAMAGED, FEATURES1_DAMAGED = 1, 2


Piece = tuple[int, int, int, int, int]
"""A strip of a band of rows of one image, what one thread works on at a time: image, x0, x1, y0, y1."""


def pieces(shape: tuple[int, ...], radius: tuple[int, int]) -> Iterator[Piece]:
    """Cut ``(N, H, W, C)`` features into pieces that together are all of it."""
    images, height, width, channels = shape
    strip = _WIDEST
    while strip > 1 and ring_rows(radius[0]) * channels * line_length(strip * LANES, radius[1]) > _RING_FLOATS:
        strip -= 1
    vectors = math.ceil(width / LANES)
    strip = math.ceil(vectors / math.ceil(vectors / strip)) * LANES
    strips = math.ceil(width / strip)
    wanted = math.ceil(2 * num_threads() / (images * strips)) if num_threads() > 1 else 1
    least = max(4 * radius[0], 4 * MAX_ROWS)  # rows: each band transposes 2 ry rows again
    bands = max(1, min(wanted, height // least))
    of_each, more = divmod(math.ceil(height / MAX_ROWS), bands)  # groups of rows: long bands first, short ones fit in
    for image in range(images):
        for x in range(0, width, strip):
            for band in range(bands):
                y0, y1 = (MAX_ROWS * (of_each * i + min(i, more)) for i in (band, band + 1))
                yield image, x, min(x + strip, width), y0, min(y1, height)


def run_pieces(function: Callable[[Piece], int], shape: tuple[int, ...], radius: tuple[int, int]) -> None:
    """Call ``function`` for every piece, on all threads; it returns which features it found damaged.

    Raises
    ------
    ValueError
        If a feature is not finite, or its length is not.
    """
    todo = list(pieces(shape, radius))
    damage = np.zeros(len(todo), np.int64)

    def work(i: int) -> None:
        damage[i] = function(todo[i])

    run_tasks(work, len(todo))
    damaged = int(np.bitwise_or.reduce(damage))
    for name, bit in (("features0", FEATURES0_DAMAGED), ("features1", FEATURES1_DAMAGED)):
        if damaged & bit:
            raise ValueError(f"{name} must be finite and less than 1e18 long, got NaN, infinity or larger values")


def flat(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a flat, read-only view: one type for Numba, whether or not the caller's array may be written to."""
    view = features.reshape(-1)
    view.flags.writeable = False
    return view


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.floats = np.zeros(0, np.float32)


_buffers = _Buffers()


def buffer(size: int) -> NDArray[np.float32]:
    """Return this thread's buffer of at least ``size`` floats, aligned to 64 bytes; its contents are finite."""
    if _buffers.floats.size < size:
        floats = np.zeros(size + 16, np.float32)
        _buffers.floats = floats[-floats.ctypes.data % 64 // 4 :]
    return _buffers.floats


@njit(nogil=True, cache=True)
def ring_rows(ry):  # type: ignore[no-untyped-def]
    """Return how many rows of the second image a group's windows reach."""
    return 2 * ry + MAX_ROWS


@njit(nogil=True, cache=True)
def line_length(width, rx):  # type: ignore[no-untyped-def]
    """Return floats from one channel's line to the next: an odd number of cache lines, or sets of the cache collide."""
    lines = -(-(-(-width // LANES) * LANES + 2 * rx) // 16)
    return (lines | 1) * 16


@njit(nogil=True, cache=True)
def unit_row(samples, shape, image, y, begin, count, length, planes, target, line, few):  # type: ignore[no-untyped-def]
    """Make planes of one row of features of the given length: cosine similarity becomes a dot product.

    Parameters
    ----------
    samples
        Features, flat, of ``shape`` ``(N, H, W, C)``.
    image, y, begin, count
        Which pixels; those outside the image are 0.
    length
        Of the features afterwards; zeros stay zero.
    planes, target, line
        Where to: channel ``c`` of pixel ``begin + i`` is ``planes[target + c * line + i]``.
    few
        ``PIXELS * C`` floats to work with.

    Returns
    -------
    bool
        Whether all features were finite.
    """
    height, width, channels = shape[1], shape[2], shape[3]
    first = (image * height + y) * width * channels
    left, right = max(begin, 0), min(begin + count, width)
    if right - left < count:
        for c in range(channels):
            row = target + c * line
            planes[row : row + left - begin] = 0
            planes[row + right - begin : row + count] = 0
    finite = True
    if right - left >= PIXELS:
        for i in range(left, right, PIXELS):
            x = min(i, right - PIXELS)  # the last pixels overlap those before
            finite &= unit_pixels(samples, first + x * channels, channels, length, planes, target + x - begin, line)
    else:
        few[(right - left) * channels : PIXELS * channels] = 0
        for i in range((right - left) * channels):
            few[i] = samples[first + left * channels + i]
        finite = unit_pixels(few, 0, channels, length, planes, target + left - begin, line)
    return finite


@njit(nogil=True, cache=True)
def layout(bounds, radius, channels):  # type: ignore[no-untyped-def]
    """Return of a piece: floats of a line, of a slot (a row of planes), of all slots, and of everything."""
    line = line_length(bounds[2] - bounds[1], radius[1])
    slot = channels * line
    slots = (MAX_ROWS + ring_rows(radius[0])) * slot
    return line, slot, slots, slots + -(-PIXELS * channels // 16) * 16  # what follows begins a cache line


@njit(nogil=True, cache=True)
def enter_group(samples0, samples1, shape, bounds, radius, length, y, next_row, floats):  # type: ignore[no-untyped-def]
    """Bring the features of a group of rows, and of the rows that its windows reach, into ``floats``.

    Parameters
    ----------
    samples0, samples1, shape
        Features, flat, and the shape ``(N, H, W, C)`` of both.
    bounds
        The piece: image, x0, x1, y0, y1.
    length
        That the first image's features get; those of the second get 1.
    y, next_row
        First row of the group, and first row of the second image that is not in the ring yet.
    floats
        As many as ``layout`` says: slots of the group's rows, the ring's slots, and some to work with.

    Returns
    -------
    tuple of int
        The next ``next_row``, and which features are damaged.
    """
    image, x0, x1, _, y1 = bounds
    (ry, rx), (height, channels) = radius, (shape[1], shape[3])
    line, slot, slots, _ = layout(bounds, radius, channels)
    few = floats[slots:]
    padded = -(-(x1 - x0) // LANES) * LANES
    rows = min(MAX_ROWS, y1 - y)
    damage = 0
    for k in range(rows):
        if not unit_row(samples0, shape, image, y + k, x0, padded, length, floats, k * slot, line, few):
            damage |= FEATURES0_DAMAGED
    while next_row < min(y + rows + ry, height):
        target = (MAX_ROWS + next_row % ring_rows(ry)) * slot
        one, count = np.float32(1), padded + 2 * rx
        if not unit_row(samples1, shape, image, next_row, x0 - rx, count, one, floats, target, line, few):
            damage |= FEATURES1_DAMAGED
        next_row += 1
    return next_row, damage


@njit(inline="always")  # compiled with its caller only: its many loops take seconds
def match_row(  # type: ignore[no-untyped-def]
    samples0, samples1, shape, bounds, radius, y, row, x, floats, out, out_index, out_stride
):
    """Match a vector of pixels of the group at ``y`` with row ``row`` of the second image.

    Rows ``begin`` to ``end`` of the group have this row in their windows. Row ``begin + k``, displacement ``(dx,
    row - y - begin - k)``, is written to ``out[out_index + k * out_stride + (dx + rx) * LANES:]``; it is 0 outside
    the image. Meanwhile a share of the group below is fetched from memory, which would be idle now, and sums later on.

    Returns
    -------
    tuple of int
        ``begin`` and ``end``.
    """
    image, x0, _, _, y1 = bounds
    (ry, rx), (height, channels) = radius, (shape[1], shape[3])
    line, slot, _, _ = layout(bounds, radius, channels)
    columns, rows = 2 * rx + 1, min(MAX_ROWS, y1 - y)
    begin, end = max(0, row - ry - y), min(rows, row + ry - y + 1)
    soon = address_of(floats, 0)  # what to fetch: two vectors of pixels for each row below, one by one, in the end
    part = row - y - rows - ry + 2 * MAX_ROWS
    below = y + rows + part // 2
    if part >= 0 and below < y1:
        if part % 2 == 0:
            soon = address_of(samples0, ((image * height + below) * shape[2] + x0 + x) * channels)
        elif below + ry < height:
            soon = address_of(samples1, ((image * height + below + ry) * shape[2] + x0 + x) * channels)
    if 0 <= row < height:
        second = (MAX_ROWS + row % ring_rows(ry)) * slot
        _correlate_row(
            end - begin, columns, floats, begin * slot + x, slot, second + x, line, channels, soon,
            out, out_index, out_stride,
        )  # fmt: skip
    else:
        for k in range(end - begin):
            out[out_index + k * out_stride : out_index + k * out_stride + columns * LANES] = 0
    return begin, end


@njit(inline="always")
def _correlate_row(rows, columns, floats, first, slot, second, line, channels, soon, out, out_index, step):  # type: ignore[no-untyped-def]
    """``correlate`` for any number of columns, in blocks of nearly equal size."""
    blocks = -(-columns // MAX_COLUMNS)
    begin = 0
    for i in range(blocks):
        end = columns * (i + 1) // blocks
        correlate(
            rows, end - begin, floats, first, slot, floats, second + begin, line, channels, soon,
            out, out_index + begin * LANES, step,
        )  # fmt: skip
        begin = end
