"""Cost volume on the CPU: dot products in registers, then one transpose from vectors of pixels to pixels of values."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._matching import Piece, buffer, enter_group, flat, layout, match_row, run_pieces
from ._matching_simd import LANES, MAX_ROWS, PIXELS, interleave
from ._vectors import borrowed, fetch_to_write


def cost_volume_cpu(
    features0: NDArray[np.float32],
    features1: NDArray[np.float32],
    radius: tuple[int, int],
    out: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """See ``vidprep.kernels.cost_volume``; arguments are already checked."""
    shape = features0.shape
    rows, columns = 2 * radius[0] + 1, 2 * radius[1] + 1
    if out is None:
        out = np.empty((*shape[:3], rows, columns), np.float32)
    samples0, samples1, values = flat(features0), flat(features1), out.reshape(-1)

    def work(piece: Piece) -> int:
        floats = buffer(layout(piece, radius, shape[3])[3] + MAX_ROWS * rows * columns * LANES)
        return int(_piece(samples0, samples1, shape, piece, radius, floats, values))

    run_pieces(work, shape, radius)
    return out


@njit(nogil=True, cache=True)
def _piece(samples0, samples1, shape, bounds, radius, floats, out):  # type: ignore[no-untyped-def]
    samples0, samples1, floats, out = borrowed(samples0), borrowed(samples1), borrowed(floats), borrowed(out)
    image, x0, x1, y0, y1 = bounds
    ry, rx = radius
    columns = 2 * rx + 1
    size = (2 * ry + 1) * columns
    stride = size * LANES
    windows = floats[layout(bounds, radius, shape[3])[3] :]  # of the group's rows: (dy, dx, lane)
    next_row, damage = max(0, y0 - ry), 0
    for y in range(y0, y1, MAX_ROWS):
        next_row, damaged = enter_group(samples0, samples1, shape, bounds, radius, np.float32(1), y, next_row, floats)
        damage |= damaged
        rows = min(MAX_ROWS, y1 - y)
        for x in range(0, x1 - x0, LANES):
            floats_of_row = min(LANES, x1 - x0 - x) * size
            share = (-(-floats_of_row // (rows + 2 * ry)) | 15) + 1
            for row in range(y - ry, y + rows + ry):
                first = (row - y + ry) * share
                for k in range(rows):
                    pixel = ((image * shape[1] + y + k) * shape[2] + x0 + x) * size
                    for i in range(pixel + first, pixel + min(first + share, floats_of_row), 16):
                        fetch_to_write(out, i)
                begin = max(0, row - ry - y)
                index = begin * stride + (row - y - begin + ry) * columns * LANES
                step = stride - columns * LANES  # the next row of the group sees this row one dy higher
                match_row(samples0, samples1, shape, bounds, radius, y, row, x, floats, windows, index, step)
            count = min(LANES, x1 - x0 - x)
            for k in range(rows):
                pixel = ((image * shape[1] + y + k) * shape[2] + x0 + x) * size
                _interleave(windows, k * stride, size, count, out, pixel)
    return damage


@njit(nogil=True, cache=True)
def _interleave(windows, index, size, count, out, out_index):  # type: ignore[no-untyped-def]
    """Transpose the windows of ``count`` pixels, ``LANES`` at most."""
    if count == LANES and size >= PIXELS:
        interleave(windows, index, size, out, out_index)
        return
    for i in range(count):
        for j in range(size):
            out[out_index + i * size + j] = windows[index + j * LANES + i]
