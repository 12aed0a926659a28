"""A box of a frame out of its bit planes, without putting the rest of the frame together.

64 elements are loaded from each plane at a time, at any byte, and stored at any address. Only the first vector of a row
need be shifted, to begin with the row's first element; the others begin at a byte of the planes. What a vector holds
beyond the end of its row is written over by the next row, and cut off where no row follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from .bit_planes import ITEM_SIZES, LANES, emit_join, join_elements
from .byte_access import copy_bytes

MARGIN = 64
"""Bytes that may be read behind a block of planes."""

TAIL_BYTES = LANES * max(ITEM_SIZES)
"""Memory for the vectors that are cut off."""


def _join_shifted(itemsize: int) -> Callable[..., None]:
    """Make ``join(planes, stride, shift, elements)``: 64 elements less the first ``shift`` (0 to 7)."""

    @intrinsic  # type: ignore[untyped-decorator]
    def join(typing_context: Any, planes: Any, stride: Any, shift: Any, elements: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, distance, skipped, target = args
            emit_join(builder, itemsize, source, distance, target, skipped)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp), generate

    return join  # type: ignore[no-any-return]


_shifted_1, _shifted_2, _shifted_4 = (_join_shifted(itemsize) for itemsize in ITEM_SIZES)


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
                if itemsize == 1:
                    _shifted_1(source, stride, shift, to)
                elif itemsize == 2:
                    _shifted_2(source, stride, shift, to)
                else:
                    _shifted_4(source, stride, shift, to)
            else:
                join_elements(source, stride, itemsize, to)
            count = LANES - shift
            if room < vector:
                copy_bytes(place, tail, min(count, row_items - done) * itemsize)
            done += count
            source, shift = source + 8, 0
