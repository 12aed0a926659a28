"""Median filter of a flow on the CPU, 3x3 or 5x5: sorting networks on vectors of 16 pixels.

Each column of the window is sorted once for all windows that share it. Sorting the rows of what results leaves every
row and column in order, so that few elements can still be the median; a network picks it among these. What a network
computes in vain is left out by the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from .tvl1_lanes import LANES, Lanes, Memory
from .tvl1_planes import PAD_LEFT, PAD_ROWS, repeat_edges

SIZES = (3, 5)


def _sort(values: list[Lanes]) -> list[Lanes]:
    """Sort by Batcher's odd-even merges: as many comparisons for every input, all on whole vectors."""
    values, n = list(values), len(values)
    p = 1
    while p < n:
        k = p
        while k:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        low, high = values[i].minimum(values[i + k]), values[i].maximum(values[i + k])
                        values[i], values[i + k] = low, high
            k //= 2
        p *= 2
    return values


def _sorter(size: int) -> Callable[..., None]:
    """Make ``sort(flow, at, stride, columns, to, line)``: 16 columns of ``size`` pixels around a row, in order."""

    @intrinsic  # type: ignore[untyped-decorator]
    def sort(typing_context: Any, flow: Any, at: Any, stride: Any, columns: Any, to: Any, line: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            flow_array, first, row, columns_array, target, length = args
            pixels = Memory(context, builder, flow, flow_array, first)
            out = Memory(context, builder, columns, columns_array, target)
            values = [pixels.load(builder.mul(row, row.type(i - size // 2))) for i in range(size)]
            for i, lanes in enumerate(_sort(values)):
                out.store(lanes, builder.mul(length, length.type(i)))
            return context.get_dummy_value()

        index = types.intp
        return types.void(flow, index, index, columns, index, index), generate

    return sort  # type: ignore[no-any-return]


def _picker(size: int) -> Callable[..., None]:
    """Make ``pick(columns, at, line, out, to)``: the medians of 16 windows of sorted columns."""
    half = (size * size + 1) // 2  # this many are at most the median, itself counted

    @intrinsic  # type: ignore[untyped-decorator]
    def pick(typing_context: Any, columns: Any, at: Any, line: Any, out: Any, to: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            columns_array, first, length, out_array, target = args
            source = Memory(context, builder, columns, columns_array, first)
            candidates, smaller = [], 0
            for i in range(size):
                offset = builder.mul(length, length.type(i))
                row = [source.load(builder.add(offset, length.type(j - size // 2))) for j in range(size)]
                for j, lanes in enumerate(_sort(row)):
                    at_most, at_least = (i + 1) * (j + 1), (size - i) * (size - j)
                    if at_least > half:  # so many are not smaller: it lies below the median
                        smaller += 1
                    elif at_most <= half:
                        candidates.append(lanes)
            median = _sort(candidates)[half - 1 - smaller]
            Memory(context, builder, out, out_array, target).store(median, 0)
            return context.get_dummy_value()

        index = types.intp
        return types.void(columns, index, index, out, index), generate

    return pick  # type: ignore[no-any-return]


_sort_3, _sort_5 = _sorter(3), _sorter(5)
_pick_3, _pick_5 = _picker(3), _picker(5)


@njit(nogil=True, cache=True)
def median_filter(flow, out, height, width, size, first, last):  # type: ignore[no-untyped-def]
    """Write the medians of all windows of ``flow`` around rows ``first`` to ``last`` (excluded) to ``out``.

    Parameters
    ----------
    flow, out
        Planes of one layout, not the same memory. Pixels around those of ``flow`` are overwritten: outside, the nearest
        pixel counts.
    height, width
        Of the level.
    size
        3 or 5: the window's height and width.
    first, last
        Rows to do.
    """
    repeat_edges(flow, height, width, first, last)
    planes, line = flow.shape[1], flow.shape[2]
    stride = planes * line
    columns = np.empty(size * line, np.float32)
    for y in range(first, last):
        for i in range(planes):
            at = (y + PAD_ROWS) * stride + i * line
            for x in range(0, line, LANES):
                if size == 3:
                    _sort_3(flow, at + x, stride, columns, x, line)
                else:
                    _sort_5(flow, at + x, stride, columns, x, line)
            for x in range(PAD_LEFT, PAD_LEFT + width, LANES):
                if size == 3:
                    _pick_3(columns, x, line, out, at + x)
                else:
                    _pick_5(columns, x, line, out, at + x)
