"""Resized crops on the CPU: eight rows of the result at a time, all channels, through tiles in the first cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..resized_crop_tables import CropTables
from ._resized_crop_simd import (
    LANES,
    LARGE,
    MOST_SPREAD,
    RUN,
    copy,
    copy_around_cache,
    copy_pixels,
    copy_pixels_around_cache,
    mix_columns,
    mix_columns_around_cache,
    mix_rows,
)
from ._threads import num_threads, run_tasks
from ._vectors import fetch

_LEAST = 1 << 14  # values of a task
_LINE = 64  # bytes


def resized_crop_cpu(
    frames: NDArray[Any], tables: CropTables, size: tuple[int, int], dtype: np.dtype[Any], out: NDArray[Any] | None
) -> NDArray[Any]:
    """See ``vidprep.kernels.resized_crop``; arguments are already checked."""
    clips, length, _, width, channels = frames.shape
    if out is None:
        out = _empty_in_lines((clips, channels, length, *size), dtype)
    if width * channels < LANES:  # rows of at least a vector; no tap leads to what is added
        more = -(-LANES // channels) - width
        frames = np.pad(frames, [(0, 0), (0, 0), (0, 0), (0, more), (0, 0)])
    frames = _in_rows(frames)
    strides = tuple(stride // frames.itemsize for stride in frames.strides[:3])
    last = sum((count - 1) * stride for count, stride in zip(frames.shape[:3], strides, strict=True))
    samples = np.lib.stride_tricks.as_strided(
        frames.view(np.uint16) if frames.dtype == np.float16 else frames,
        (last + frames.shape[3] * channels,),
        (frames.itemsize,),
        writeable=False,  # one type for Numba, whether or not the caller's may be written to
    )
    results = (out.view(np.uint16) if dtype == np.float16 else out).reshape(-1)
    taps = tables.taps
    if size[1] < LANES:
        taps = np.pad(taps, [(0, 0), (0, LANES - size[1]), (0, 0)], mode="edge")
    shape = (*frames.shape[1:3], width, frames.shape[3], channels, *size)
    around_cache = out.nbytes > LARGE
    whole_lines = around_cache and out.ctypes.data % _LINE == 0 and size[1] * out.itemsize % _LINE == 0
    units = clips * length * -(-size[0] // LANES)
    tasks = min(units, 4 * num_threads(), 1 + out.size // _LEAST)
    weights, affine = taps.view(np.float32), tables.affine

    def work(i: int) -> None:
        bounds = (units * i // tasks, units * (i + 1) // tasks)
        _blocks(samples, strides, shape, taps, weights, affine, bounds, around_cache, whole_lines, results)

    run_tasks(work, tasks)
    return out


def _empty_in_lines(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that begins at a cache line."""
    count = math.prod(shape)
    memory: NDArray[Any] = np.empty(count + _LINE // dtype.itemsize, dtype)
    first = -memory.ctypes.data % _LINE // dtype.itemsize
    return memory[first : first + count].reshape(shape)


def _in_rows(frames: NDArray[Any]) -> NDArray[Any]:
    """Return the frames with every row in one piece, as they are if possible: crops of larger frames are."""
    item, channels = frames.itemsize, frames.shape[4]
    in_rows = frames.strides[3:] == (channels * item, item) and frames.flags.aligned
    if in_rows and all(stride >= 0 and stride % item == 0 for stride in frames.strides[:3]):
        return frames
    return np.ascontiguousarray(frames)


@njit(nogil=True, cache=True)
def _blocks(samples, strides, shape, taps, weights, affine, bounds, around_cache, whole_lines, out):  # type: ignore[no-untyped-def]
    """Make blocks ``bounds[0]`` to ``bounds[1]`` of eight rows, counted through all frames of all clips.

    ``shape`` is (T, H, W, W with what pads a row, C, h, w); ``taps`` goes on after its last column, to eight of them.
    ``whole_lines``: rows of the result are whole cache lines, to be written around the cache.
    """
    length, height, width, row_width, channels, out_height, out_width = shape
    blocks = -(-out_height // LANES)
    tile_width = max(out_width, LANES)
    tile_plane, plane = LANES * tile_width, out_height * out_width * length
    memory = np.empty((row_width + 1) * channels * LANES + _LINE // 4, np.float32)
    columns = memory[-(memory.ctypes.data // 4) % (_LINE // 4) :]  # no vector lies on two lines
    tile = np.empty(channels * tile_plane, out.dtype)
    row_places, row_weights = np.empty(2 * LANES, np.int64), np.empty(LANES, np.float32)
    places, column_weights = np.empty(tile_width, np.int64), np.empty(tile_width, np.float32)
    line = _LINE // samples.itemsize
    clip = -1
    first = count = step = 0
    plain = at_edge = False
    for unit in range(bounds[0], bounds[1]):
        n, t, block = unit // (length * blocks), unit // blocks % length, unit % blocks
        if n != clip:  # the columns of another clip
            clip, left, right, plain = n, row_width, 0, True
            for j in range(tile_width):
                x, weight = taps[n, out_height + j, 0], weights[n, out_height + j, 1]
                left, right = min(left, x), max(right, x)
                places[j], column_weights[j] = x, weight
                plain = plain and weight == 0
            step = _step(places, out_width) if plain and channels <= MOST_SPREAD and out_width >= RUN else 0
            at_edge = right >= width - 1
            count = max((min(right + 2, width) - left) * channels, LANES)
            first = min(left * channels, row_width * channels - count)
            for j in range(tile_width):
                places[j] = (places[j] * channels - first) * LANES
        begin = block * LANES
        rows = min(LANES, out_height - begin)
        plain_rows = True
        for r in range(LANES):
            i = begin + min(r, rows - 1)
            y, weight = taps[n, i, 0], weights[n, i, 1]
            row_places[r] = n * strides[0] + t * strides[1] + y * strides[2] + first
            row_places[LANES + r] = row_places[r] + (strides[2] if y < height - 1 else 0)
            row_weights[r] = weight
            plain_rows = plain_rows and weight == 0
        for r in range(rows):  # memory is asked for what the next frame's block needs, or the next block
            ahead = row_places[r]
            if t + 1 < length:
                ahead += strides[1]
            elif begin + LANES + r < out_height:
                ahead += (taps[n, begin + LANES + r, 0] - taps[n, begin + r, 0]) * strides[2]
            for i in range(ahead, ahead + count, line):
                fetch(samples, i)
        index, pair = ((n * channels * length + t) * out_height + begin) * out_width, n * channels * 2
        if step != 0 and plain_rows:
            for r in range(rows):
                source, goal = row_places[r], index + r * out_width
                if whole_lines:
                    copy_pixels_around_cache(
                        samples, source, step < 0, out_width, channels, affine, pair, out, goal, plane
                    )
                else:
                    copy_pixels(samples, source, step < 0, out_width, channels, affine, pair, out, goal, plane)
            written = True
        else:
            mix_rows(samples, row_places, row_weights, count, plain_rows, columns)
            if at_edge and not plain:  # the last pixel has a neighbour like itself
                end = (width * channels - first) * LANES
                columns[end : end + channels * LANES] = columns[end - channels * LANES : end]
            written = rows == LANES and (whole_lines or (tile_width == out_width and not around_cache))
            if not written:
                mix_columns(
                    columns, places, column_weights, tile_width, plain, channels, affine, pair, tile, 0, tile_plane,
                    tile_width,
                )  # fmt: skip
            elif whole_lines:
                mix_columns_around_cache(
                    columns, places, column_weights, out_width, plain, channels, affine, pair, out, index, plane,
                    out_width,
                )  # fmt: skip
            else:
                mix_columns(
                    columns, places, column_weights, out_width, plain, channels, affine, pair, out, index, plane,
                    out_width,
                )  # fmt: skip
        if written:
            continue
        for c in range(channels):
            source, goal = c * tile_plane, index + c * plane
            if tile_width > out_width:
                for r in range(rows):
                    copy(tile, source + r * tile_width, out, goal + r * out_width, out_width)
            elif around_cache:
                copy_around_cache(tile, source, out, goal, rows * out_width)
            else:
                copy(tile, source, out, goal, rows * out_width)


@njit(nogil=True, cache=True)
def _step(places, count):  # type: ignore[no-untyped-def]
    """Return 1 if places follow each other, -1 if they do backwards, else 0."""
    step = places[1] - places[0]
    for j in range(1, count):
        if places[j] - places[j - 1] != step:
            return 0
    return step if abs(step) == 1 else 0
