"""Planar YUV to resized RGB on the CPU: tiles of 16 output rows, every inner loop plain SIMD over 16 or more lanes.

A tile is filtered vertically (SIMD along x), transposed, filtered horizontally (SIMD along the 16 rows), turned to
RGB (the same lanes), and transposed back into the frame. Its buffers stay in the L1 and L2 caches, and the picture's
planes are read once. The arithmetic is that of ``vidprep.kernels.yuv``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..yuv import NARROW_TAPS, RGB_BITS, SAMPLE_BITS, WEIGHT_BITS, YuvFormat, colour_table, plane_tables
from ._simd import LANES, filter_narrow, filter_wide, mix_lanes, transpose_8x8, transpose_16x16


def yuv_to_rgb_cpu(
    y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], size: tuple[int, int], fmt: YuvFormat
) -> NDArray[np.uint8]:
    """See ``vidprep.kernels.yuv_to_rgb``; arguments are already checked."""
    out = np.empty((y.shape[0], *size, 3), np.uint8)
    converter = FrameConverter((y.shape[1], y.shape[2]), size, fmt)
    for t in range(y.shape[0]):
        converter(*(np.ascontiguousarray(plane[t]) for plane in (y, u, v)), out[t])
    return out


class FrameConverter:
    """Convert pictures of one size and format, one by one, without allocating.

    Not thread-safe: an object owns its tile buffers. Made for decoders, which know the format once per stream and
    hold planes whose rows are padded.

    Parameters
    ----------
    luma_shape
        ``(height, width)`` of the pictures.
    size
        ``(height, width)`` of the frames.
    fmt
        How to read the planes.
    """

    def __init__(self, luma_shape: tuple[int, int], size: tuple[int, int], fmt: YuvFormat) -> None:
        luma_y, luma_x, chroma_y, chroma_x = plane_tables(luma_shape, size, fmt)
        self._vertical = (luma_y.starts, luma_y.weights, chroma_y.starts, chroma_y.weights)
        self._horizontal = (luma_x.starts, luma_x.weights, chroma_x.starts, chroma_x.weights)
        colours = colour_table(fmt)
        self._colours = (colours.shifts, colours.offsets, colours.coefficients, colours.biases)
        shift_x = fmt.chroma_shift[0]
        self._widths = (luma_shape[1], -(-luma_shape[1] >> shift_x))
        self._left = SAMPLE_BITS - fmt.depth
        span = _round_up(luma_shape[1], 8)
        out_w = size[1]
        self._rows = np.zeros((LANES, span), np.uint16)
        self._columns = np.zeros((span, LANES), np.uint16)
        self._planes = np.zeros((3, out_w, LANES), np.uint16)
        self._rgb = np.zeros((_round_up(out_w * 3, 16), LANES), np.uint8)
        self._lines = np.zeros((LANES, _round_up(out_w * 3, 16)), np.uint8)

    def __call__(
        self, y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], out: NDArray[np.uint8]
    ) -> None:
        """Convert one picture into ``out``.

        Parameters
        ----------
        y, u, v
            C-contiguous ``(height, stride)`` planes; a stride may be larger than the plane's width.
        out
            C-contiguous ``(H, W, 3)`` uint8.
        """
        _convert(
            y, u, v, out, self._widths, self._left, self._vertical, self._horizontal, self._colours,
            self._rows, self._columns, self._planes, self._rgb, self._lines,
        )  # fmt: skip


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter_rows(plane, width, y0, count, starts, weights, left, rows):  # type: ignore[no-untyped-def]
    """Vertical pass of one tile: ``rows[r, x]`` = sample of output row ``y0 + r``."""
    stride, span, taps = plane.shape[1], rows.shape[1], weights.shape[1]
    for r in range(count):
        first, first_weight = starts[y0 + r] * stride, (y0 + r) * taps
        if width < LANES:
            _filter_few(plane, width, starts[y0 + r], weights[y0 + r], left, rows[r])
            continue
        for x0 in range(0, width, LANES):
            x = min(x0, width - LANES)  # the last lanes overlap those before: nothing past the plane is read
            if taps <= NARROW_TAPS:
                filter_narrow(plane, first + x, stride, left, weights, first_weight, taps, rows, r * span + x)
            else:
                filter_wide(plane, first + x, stride, left, weights, first_weight, taps, rows, r * span + x)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter_few(plane, width, first, weights, left, row):  # type: ignore[no-untyped-def]
    """Vertical pass of a row that is narrower than a vector."""
    taps = weights.size
    for x in range(width):
        total = 0 if taps <= NARROW_TAPS else 1 << (WEIGHT_BITS - 1)
        for k in range(taps):
            product = weights[k] * (np.int64(plane[first + k, x]) << left)
            total += product >> WEIGHT_BITS if taps <= NARROW_TAPS else product
        total = total + taps // 2 if taps <= NARROW_TAPS else total >> WEIGHT_BITS
        row[x] = min(total, (1 << SAMPLE_BITS) - 1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter_columns(columns, starts, weights, planes, p):  # type: ignore[no-untyped-def]
    """Horizontal pass of one transposed tile: ``planes[p, x, r]``."""
    taps, width = weights.shape[1], planes.shape[1]
    for x in range(width):
        first, target = starts[x] * LANES, (p * width + x) * LANES
        if taps <= NARROW_TAPS:
            filter_narrow(columns, first, LANES, 0, weights, x * taps, taps, planes, target)
        else:
            filter_wide(columns, first, LANES, 0, weights, x * taps, taps, planes, target)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _mix_colours(planes, colours, rgb):  # type: ignore[no-untyped-def]
    """Colour pass of one transposed tile: ``rgb[3 x + c, r]``."""
    width = planes.shape[1]
    shifts, offsets, coefficients, biases = colours
    for x in range(width):
        mix_lanes(
            planes, x * LANES, width * LANES, shifts, offsets, coefficients, biases, RGB_BITS, rgb, 3 * x * LANES
        )


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _convert(  # type: ignore[no-untyped-def]
    y, u, v, out, widths, left, vertical, horizontal, colours, rows, columns, planes, rgb, lines
):
    out_h, out_w = out.shape[0], out.shape[1]
    luma_y, luma_wy, chroma_y, chroma_wy = vertical
    luma_x, luma_wx, chroma_x, chroma_wx = horizontal
    span = rows.shape[1]
    for y0 in range(0, out_h, LANES):
        count = min(LANES, out_h - y0)
        for p in range(3):
            plane = y if p == 0 else (u if p == 1 else v)
            width = widths[0] if p == 0 else widths[1]
            if p == 0:
                _filter_rows(plane, width, y0, count, luma_y, luma_wy, left, rows)
            else:
                _filter_rows(plane, width, y0, count, chroma_y, chroma_wy, left, rows)
            for x in range(0, width, 8):
                transpose_8x8(rows, x, span, columns, x * LANES, LANES)
                transpose_8x8(rows, 8 * span + x, span, columns, x * LANES + 8, LANES)
            if p == 0:
                _filter_columns(columns, luma_x, luma_wx, planes, p)
            else:
                _filter_columns(columns, chroma_x, chroma_wx, planes, p)
        _mix_colours(planes, colours, rgb)
        stride = lines.shape[1]
        for x in range(0, stride, 16):
            transpose_16x16(rgb, x * LANES, LANES, lines, x, stride)
        for r in range(count):
            target = out[y0 + r].reshape(-1)
            source = lines[r]
            for x in range(out_w * 3):
                target[x] = source[x]
