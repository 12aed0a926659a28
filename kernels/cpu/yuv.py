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

from ..yuv import MATRIX_BITS, SAMPLE_BITS, WEIGHT_BITS, YuvFormat, colour_matrix, plane_tables
from ._simd import LANES, filter_lanes, mix_lanes, transpose_8x8, transpose_16x16

_RGB_SHIFT = MATRIX_BITS + SAMPLE_BITS - 8


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
        self._matrix, offsets = colour_matrix(fmt)
        self._biases = ((1 << (_RGB_SHIFT - 1)) - self._matrix @ offsets).astype(np.int32)
        shift_x = fmt.chroma_shift[0]
        self._widths = (luma_shape[1], -(-luma_shape[1] >> shift_x))
        self._shift = fmt.depth - 1  # samples of `depth` bits and 14-bit weights to 15 bits
        assert fmt.depth + WEIGHT_BITS - self._shift == SAMPLE_BITS
        span = _round_up(luma_shape[1], 8)
        out_w = size[1]
        self._rows = np.zeros((LANES, span), np.int16)
        self._columns = np.zeros((span, LANES), np.int16)
        self._planes = np.zeros((3, out_w, LANES), np.int16)
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
            y, u, v, out, self._widths, self._shift, self._vertical, self._horizontal, self._matrix, self._biases,
            self._rows, self._columns, self._planes, self._rgb, self._lines,
        )  # fmt: skip


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter_rows(plane, width, y0, count, starts, weights, shift, rows):  # type: ignore[no-untyped-def]
    """Vertical pass of one tile: ``rows[r, x]`` = 15-bit samples of output row ``y0 + r``."""
    stride, span, taps = plane.shape[1], rows.shape[1], weights.shape[1]
    for r in range(count):
        first = starts[y0 + r] * stride
        for x in range(0, width - LANES + 1, LANES):
            filter_lanes(plane, first + x, stride, weights, (y0 + r) * taps, taps, shift, rows, r * span + x)
        if width < LANES:
            for x in range(width):
                total = 1 << (shift - 1)
                for k in range(taps):
                    total += weights[y0 + r, k] * np.int64(plane[starts[y0 + r] + k, x])
                rows[r, x] = min(total >> shift, (1 << SAMPLE_BITS) - 1)
        elif width % LANES:  # the last lanes overlap those before: nothing past the plane is read
            x = width - LANES
            filter_lanes(plane, first + x, stride, weights, (y0 + r) * taps, taps, shift, rows, r * span + x)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _filter_columns(columns, starts, weights, planes, p):  # type: ignore[no-untyped-def]
    """Horizontal pass of one transposed tile: ``planes[p, x, r]`` = 15-bit samples."""
    taps = weights.shape[1]
    width = planes.shape[1]
    for x in range(width):
        filter_lanes(
            columns, starts[x] * LANES, LANES, weights, x * taps, taps, WEIGHT_BITS, planes, (p * width + x) * LANES
        )


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _mix_colours(planes, matrix, biases, rgb):  # type: ignore[no-untyped-def]
    """Colour pass of one transposed tile: ``rgb[3 x + c, r]``."""
    width = planes.shape[1]
    for x in range(width):
        for c in range(3):
            mix_lanes(
                planes, x * LANES, width * LANES, matrix, 3 * c, biases[c], _RGB_SHIFT, rgb, (3 * x + c) * LANES
            )


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _convert(  # type: ignore[no-untyped-def]
    y, u, v, out, widths, shift, vertical, horizontal, matrix, biases, rows, columns, planes, rgb, lines
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
                _filter_rows(plane, width, y0, count, luma_y, luma_wy, shift, rows)
            else:
                _filter_rows(plane, width, y0, count, chroma_y, chroma_wy, shift, rows)
            for x in range(0, width, 8):
                transpose_8x8(rows, x, span, columns, x * LANES, LANES)
                transpose_8x8(rows, 8 * span + x, span, columns, x * LANES + 8, LANES)
            if p == 0:
                _filter_columns(columns, luma_x, luma_wx, planes, p)
            else:
                _filter_columns(columns, chroma_x, chroma_wx, planes, p)
        _mix_colours(planes, matrix, biases, rgb)
        stride = lines.shape[1]
        for x in range(0, stride, 16):
            transpose_16x16(rgb, x * LANES, LANES, lines, x, stride)
        for r in range(count):
            target = out[y0 + r].reshape(-1)
            source = lines[r]
            for x in range(out_w * 3):
                target[x] = source[x]
