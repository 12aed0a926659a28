"""A box of a frame out of its bit planes, without putting the rest of the frame together.

A vector of elements is joined at a time, from any byte of the planes, and stored at any address. Only the first vector
of a row need be shifted, to begin with the row's first element; the others begin at a byte of the planes. What a vector
holds beyond the end of its row is written over by the next row, and cut off where no row follows.
"""

from __future__ import annotations

from numba import njit

from .byte_access import copy_bytes
from .plane_join import ITEM_SIZES, LANES, join, join_shifted

MARGIN = 64
"""Bytes that may be read behind a block of planes."""

TAIL_BYTES = LANES * max(ITEM_SIZES)
"""Memory for the vectors that are cut off."""


@njit(nogil=True, cache=True)
def join_box(planes, stride, itemsize, first, row_items, num_rows, pitch, target, tail):  # type: ignore[no-untyped-def]
    """Join ``num_rows`` rows of ``row_items`` elements, ``pitch`` elements apart, side by side at ``target``.

    Parameters
    ----------
    planes, stride
        Address of the lowest plane, and bytes from each to the next; ``MARGIN`` bytes behind the last may be read.
    first
        Element with which the first row begins.
    target, tail
        Addresses of ``num_rows * row_items`` elements, of which none beyond is touched, and of ``TAIL_BYTES`` to work
        with.
    """
    vector = LANES * itemsize
    end = target + num_rows * row_items * itemsize
    for row in range(num_rows):
        begin = first + row * pitch
        source, shift = planes + begin // 8, begin % 8
        done = 0
        while done < row_items:
            place = target + (row * row_items + done) * itemsize
            room = end - place
            to = place if room >= vector else tail
            if shift:
                join_shifted(source, stride, shift, itemsize, to)
            else:
                join(source, stride, itemsize, to)
            count = LANES - shift
            if room < vector:
                copy_bytes(place, tail, min(count, row_items - done) * itemsize)
            done += count
            source, shift = source + LANES // 8, 0
