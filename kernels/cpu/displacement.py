"""Displacement on the CPU: dot products in registers, then an online softmax, row by row of the window.

``_piece`` walks down one piece (``_matching``). Of every vector of pixels it makes one row of the window at a time,
which passes through a few lines of L1 cache to the softmax or the vote and is forgotten.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._assignment_simd import FIRST_ROW, MAX_EXPONENT, elect, expect, soften, soften_online, sum_rows
from ._matching import Piece, buffer, enter_group, flat, layout, match_row, run_pieces
from ._matching_simd import LANES, MAX_ROWS
from ._vectors import borrowed

_LOWEST = np.float32(-1e30)  # below any similarity or exponent


def displacement_cpu(
    features0: NDArray[np.float32],
    features1: NDArray[np.float32],
    radius: tuple[int, int],
    temperature: float | None,
    order: NDArray[np.int32],
) -> NDArray[np.float32]:
    """See ``vidprep.kernels.displacement``; arguments are already checked.

    ``temperature`` is ``None`` for winner-take-all; ``order`` then lists the places of the window, counted row by row,
    and of equals the first in it wins.
    """
    shape = features0.shape
    out = np.empty((*shape[:3], 2), np.float32)
    samples0, samples1 = flat(features0), flat(features1)
    soft = temperature is not None
    length = np.float32(1.0 if temperature is None else math.log2(math.e) / temperature)  # makes dot products exponents
    ranks = np.empty_like(order)
    ranks[order] = np.arange(order.size, dtype=np.int32)
    row = MAX_ROWS * LANES * (2 * radius[1] + 1 + FIRST_ROW + 2 * radius[0] + 1)

    def work(piece: Piece) -> int:
        floats = buffer(layout(piece, radius, shape[3])[3] + row)
        return int(_piece(samples0, samples1, shape, piece, radius, length, soft, order, ranks, floats, out))

    run_pieces(work, shape, radius)
    return out


@njit(nogil=True, cache=True)
def _piece(samples0, samples1, shape, bounds, radius, length, soft, order, ranks, floats, out):  # type: ignore[no-untyped-def]
    samples0, samples1, floats, out = borrowed(samples0), borrowed(samples1), borrowed(floats), borrowed(out)
    order, ranks = borrowed(order), borrowed(ranks)
    image, x0, x1, y0, y1 = bounds
    ry, rx = radius
    columns = 2 * rx + 1
    rest = floats[layout(bounds, radius, shape[3])[3] :]
    scores, state = rest[: MAX_ROWS * columns * LANES], rest[MAX_ROWS * columns * LANES :]
    room = (FIRST_ROW + 2 * ry + 1) * LANES
    next_row, damage = max(0, y0 - ry), 0
    for y in range(y0, y1, MAX_ROWS):
        next_row, damaged = enter_group(samples0, samples1, shape, bounds, radius, length, y, next_row, floats)
        damage |= damaged
        rows = min(MAX_ROWS, y1 - y)
        for x in range(0, x1 - x0, LANES):
            for k in range(rows):
                state[k * room : k * room + FIRST_ROW * LANES] = 0
                lowest = k * room + (3 * LANES if soft else 0)
                state[lowest : lowest + LANES] = _LOWEST
            for row in range(y - ry, y + rows + ry):
                begin, end = match_row(
                    samples0, samples1, shape, bounds, radius, y, row, x, floats, scores, 0, columns * LANES
                )
                for k in range(begin, end):
                    scores_of_k, dy = (k - begin) * columns * LANES, row - y - k
                    if soft and length <= MAX_EXPONENT:
                        soften(scores, scores_of_k, columns, state, k * room, dy + ry)
                    elif soft:
                        soften_online(scores, scores_of_k, columns, np.float32(dy), state, k * room)
                    else:
                        elect(scores, scores_of_k, columns, ranks, (dy + ry) * columns, state, k * room)
            for k in range(rows):
                count = min(LANES, x1 - x0 - x)
                target = out[image, y + k, x0 + x : x0 + x + count]
                if not soft:
                    _winners(state[k * room : (k + 1) * room], order, radius, target)
                    continue
                if length <= MAX_EXPONENT:
                    sum_rows(state, k * room, 2 * ry + 1)
                if count == LANES:
                    expect(state, k * room, target, 0)
                else:
                    expect(state, k * room, scores, 0)
                    for i in range(count):
                        target[i, 0], target[i, 1] = scores[2 * i], scores[2 * i + 1]
    return damage


@njit(nogil=True, cache=True)
def _winners(state, order, radius, out):  # type: ignore[no-untyped-def]
    """Write the elected displacement ``(x, y)`` of a vector of pixels."""
    ry, rx = radius
    ranks = state[LANES : 2 * LANES].view(np.int32)
    for i in range(out.shape[0]):
        place = order[ranks[i]]
        out[i, 0] = place % (2 * rx + 1) - rx
        out[i, 1] = place // (2 * rx + 1) - ry
