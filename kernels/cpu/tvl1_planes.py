"""How TV-L1 lays out its planes: padded rows, the planes' rows of one image row side by side.

An array ``(H + 4, P, S)`` float32 holds P planes of an ``H x W`` level. Pixel (y, x) of plane ``i`` is at
``[y + 2, i, x + 16]``. Before and behind each row lies room for taps and vectors that reach over the edge. Because all
planes' rows of one image row lie together, a few consecutive image rows are one piece of memory that fits the cache;
S, an odd number of cache lines, keeps the planes in different cache sets.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .tvl1_lanes import LANES

PAD_ROWS = 2
PAD_LEFT = LANES
PAD_RIGHT = 3

Planes = NDArray[np.float32]


@njit(nogil=True, cache=True)
def row_stride(width):  # type: ignore[no-untyped-def]
    """Return S for a level ``width`` pixels wide, in floats."""
    lines = -(-(PAD_LEFT + -(-width // LANES) * LANES + PAD_RIGHT) // LANES)
    return LANES * (lines + (lines + 1) % 2)


@njit(nogil=True, cache=True)
def num_floats(height, width, planes):  # type: ignore[no-untyped-def]
    """Return how many floats ``planes`` planes of a level take."""
    return (height + 2 * PAD_ROWS) * planes * row_stride(width)


@njit(nogil=True, cache=True)
def planes_in(memory, height, width, planes):  # type: ignore[no-untyped-def]
    """Return the planes of a level as a view of a flat piece of memory that is large enough."""
    rows = height + 2 * PAD_ROWS
    line = row_stride(width)
    return memory[: rows * planes * line].reshape((rows, planes, line))


def new_planes_memory(floats: int) -> Planes:
    """Return zeros that begin at a cache line: vectors that reach over two lines would take up to a quarter longer."""
    memory = np.zeros(floats + LANES, np.float32)
    first = -memory.ctypes.data // memory.itemsize % LANES
    return memory[first : first + floats]


def pixels(planes: Planes, height: int, width: int) -> Planes:
    """Return the view ``(H, P, W)`` of planes without what surrounds them."""
    return planes[PAD_ROWS : PAD_ROWS + height, :, PAD_LEFT : PAD_LEFT + width]


@njit(nogil=True, cache=True)
def repeat_edges(planes, height, width, first, last):  # type: ignore[no-untyped-def]
    """Fill two pixels around the rows ``first`` to ``last`` (excluded) of every plane with the nearest pixel inside.

    Some of these are around the rows before and behind: who has a share of the rows finds its own share's neighbours
    in order.
    """
    for y in range(max(first - PAD_ROWS, 0), min(last + PAD_ROWS, height)):
        for i in range(planes.shape[1]):
            line = planes[PAD_ROWS + y, i]
            for x in range(PAD_LEFT - 2, PAD_LEFT):
                line[x] = line[PAD_LEFT]
            for x in range(PAD_LEFT + width, PAD_LEFT + width + PAD_RIGHT):
                line[x] = line[PAD_LEFT + width - 1]
    for i in range(planes.shape[1]):
        for row in range(PAD_ROWS):
            for x in range(planes.shape[2]):  # no slices: what NumPy makes of them takes a second to compile
                if first < PAD_ROWS:
                    planes[row, i, x] = planes[PAD_ROWS, i, x]
                if last > height - PAD_ROWS:
                    planes[PAD_ROWS + height + row, i, x] = planes[PAD_ROWS + height - 1, i, x]
