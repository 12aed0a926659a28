"""Planar YUV to resized RGB on the CPU: tiles of 16 output rows, every inner loop plain SIMD over 16 lanes.

A tile is filtered vertically (SIMD along x), transposed, filtered horizontally (SIMD along the 16 rows), turned to
RGB (the same lanes), and transposed back into the frame. Its buffers stay in the L1 and L2 caches, and the picture's
planes are read once. The arithmetic is that of ``vidprep.kernels.yuv``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit
from numpy.typing import NDArray

from ..yuv_tables import (
    NARROW_TAPS,
    RGB_BITS,
    SAMPLE_BITS,
    WEIGHT_BITS,
    YuvFormat,
    chroma_shape,
    colour_table,
    plane_tables,
)
from ._simd import LANES, filter_narrow, filter_wide, memory_at, mix_lanes, transpose_8x8, transpose_16x16

Plane = tuple[int, int]
"""Where a plane's first sample lies in memory, and how many bytes its rows are apart."""


def yuv_to_rgb_cpu(
    y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], size: tuple[int, int], fmt: YuvFormat
) -> NDArray[np.uint8]:
    """See ``vidprep.kernels.yuv_to_rgb``; arguments are already checked."""
    out = np.empty((y.shape[0], *size, 3), np.uint8)
    converter = FrameConverter((y.shape[1], y.shape[2]), size, fmt)
    for t in range(y.shape[0]):
        rows = [np.ascontiguousarray(plane[t]) for plane in (y, u, v)]
        luma, first, second = ((plane.ctypes.data, plane.strides[0]) for plane in rows)
        converter(luma, first, second, out[t])
    return out


class FrameConverter:
    """Convert pictures of one size and format, one by one, without allocating.

    Not thread-safe: an object owns its tile buffers. Made for decoders, which know the format once per stream, hold
    planes whose rows are padded, and call it thousands of times a second: so tables and buffers are packed into few
    arrays, and planes are plain addresses.

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
        axes = plane_tables(luma_shape, size, fmt)
        colours = colour_table(fmt)
        self._tables = np.concatenate(
            [colours.shifts, colours.offsets, colours.coefficients.ravel(), colours.biases]
            + [axis.starts for axis in axes]
            + [axis.weights.ravel() for axis in axes]
        )
        span = _round_up(luma_shape[1], 8)
        line = _round_up(size[1] * 3, 16)
        self._words = np.zeros((2 * span + 3 * size[1]) * LANES, np.uint16)
        self._bytes = np.zeros(2 * line * LANES, np.uint8)
        chroma_height, chroma_width = chroma_shape(luma_shape, fmt)
        sizes = (luma_shape[1], chroma_width, luma_shape[0], chroma_height)
        taps = [axis.weights.shape[1] for axis in axes]
        self._numbers = np.array([*sizes, *taps, SAMPLE_BITS - fmt.depth, span, line])
        self._sample = np.zeros(0, np.uint8 if fmt.depth == 8 else np.uint16)

    def __call__(self, y: Plane, u: Plane, v: Plane, out: NDArray[np.uint8]) -> None:
        """Convert one picture into ``out``.

        Parameters
        ----------
        y, u, v
            The planes; they must stay where they are until this returns.
        out
            C-contiguous ``(H, W, 3)`` uint8.
        """
        _convert(*y, *u, *v, out, self._sample, self._numbers, self._tables, self._words, self._bytes)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@njit(nogil=True, cache=True)
def _filter_rows(plane, width, y0, count, starts, weights, taps, left, rows):  # type: ignore[no-untyped-def]
    """Vertical pass of one tile: ``rows[r, x]`` = sample of output row ``y0 + r``."""
    stride, span = plane.shape[1], rows.size // LANES
    for r in range(count):
        first_weight = (y0 + r) * taps
        first = starts[y0 + r] * stride
        if width < LANES:
            taps_here = weights[first_weight : first_weight + taps]
            _filter_few(plane, width, starts[y0 + r], taps_here, left, rows[r * span :])
            continue
        for x0 in range(0, width, LANES):
            x = min(x0, width - LANES)  # the last lanes overlap those before: nothing past the plane is read
            if taps <= NARROW_TAPS:
                filter_narrow(plane, first + x, stride, left, weights, first_weight, taps, rows, r * span + x)
            else:
                filter_wide(plane, first + x, stride, left, weights, first_weight, taps, rows, r * span + x)


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def _filter_columns(columns, starts, weights, taps, plane):  # type: ignore[no-untyped-def]
    """Horizontal pass of one transposed tile: ``plane[x, r]``."""
    for x in range(starts.size):
        if taps <= NARROW_TAPS:
            filter_narrow(columns, starts[x] * LANES, LANES, 0, weights, x * taps, taps, plane, x * LANES)
        else:
            filter_wide(columns, starts[x] * LANES, LANES, 0, weights, x * taps, taps, plane, x * LANES)


@njit(nogil=True, cache=True)
def _convert(  # type: ignore[no-untyped-def]
    y, y_stride, u, u_stride, v, v_stride, out, sample, numbers, tables, words, octets
):
    luma_width, chroma_width, luma_height, chroma_height = numbers[0], numbers[1], numbers[2], numbers[3]
    left, span, line = numbers[8], numbers[9], numbers[10]
    out_h, out_w = out.shape[0], out.shape[1]
    flat = out.reshape(-1)
    shifts, offsets, coefficients, biases = tables[:3], tables[3:6], tables[6:15], tables[15:18]
    all_starts, all_weights = tables[18:], tables[18 + 2 * (out_h + out_w) :]
    rows, columns = words[: span * LANES], words[span * LANES : 2 * span * LANES]
    planes = words[2 * span * LANES :]
    rgb, lines = octets[: line * LANES], octets[line * LANES :]
    for y0 in range(0, out_h, LANES):
        count = min(LANES, out_h - y0)
        for p in range(3):
            address = y if p == 0 else (u if p == 1 else v)
            stride = (y_stride if p == 0 else (u_stride if p == 1 else v_stride)) // sample.itemsize
            width, height = (luma_width, luma_height) if p == 0 else (chroma_width, chroma_height)
            plane = carray(memory_at(address), (height, stride), sample.dtype)
            # tables of luma y, luma x, chroma y, chroma x, one after the other
            vertical_taps, horizontal_taps = (numbers[4], numbers[5]) if p == 0 else (numbers[6], numbers[7])
            first = 0 if p == 0 else out_h + out_w
            first_weight = 0 if p == 0 else out_h * numbers[4] + out_w * numbers[5]
            starts, weights = all_starts[first:], all_weights[first_weight:]
            _filter_rows(plane, width, y0, count, starts, weights, vertical_taps, left, rows)
            for x in range(0, width, 8):
                transpose_8x8(rows, x, span, columns, x * LANES, LANES)
                transpose_8x8(rows, 8 * span + x, span, columns, x * LANES + 8, LANES)
            _filter_columns(
                columns,
                starts[out_h : out_h + out_w],
                weights[out_h * vertical_taps :],
                horizontal_taps,
                planes[p * out_w * LANES :],
            )
        for x in range(out_w):
            mix_lanes(
                planes, x * LANES, out_w * LANES, shifts, offsets, coefficients, biases, RGB_BITS, rgb, 3 * x * LANES
            )
        for x in range(0, line, 16):
            transpose_16x16(rgb, x * LANES, LANES, lines, x, line)
        for r in range(count):
            target = flat[(y0 + r) * out_w * 3 : (y0 + r + 1) * out_w * 3]
            source = lines[r * line :]
            for x in range(target.size):
                target[x] = source[x]
