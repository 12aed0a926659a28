"""Image pyramids and resampling between levels on the CPU: separable filters, one table of taps for each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ..tvl1_tables import Taps, gaussian_taps, level_blur, linear_taps
from .tvl1_lanes import LANES, Memory, four_by_four
from .tvl1_planes import PAD_LEFT, PAD_ROWS, Planes, new_planes_memory, num_floats, pixels, planes_in, repeat_edges

_QUAD = 4  # taps that are loaded at once


class TapTables(NamedTuple):
    """Taps of several axes in a few arrays, for compiled loops; ``pack`` makes them.

    Output i of axis a begins at input ``starts[first[a] + i]``; its weight k is ``weights[quads[a] + k * length + i]``,
    ``length`` being the axis's number of outputs, rounded up to whole vectors, and the number of taps to whole quads.
    """

    starts: NDArray[np.int64]
    weights: NDArray[np.float32]
    axes: NDArray[np.int64]  # (axes, 4): first, quads, outputs, taps


def pack(axes: Sequence[Taps]) -> TapTables:
    """Put axes one behind the other."""
    starts, weights, table = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], []
    for taps in axes:
        outputs, count = taps.weights.shape
        length = _whole(outputs, LANES)
        table.append((sum(map(len, starts)), sum(map(len, weights)), outputs, count))
        starts.append(np.pad(taps.starts, (0, length - outputs)))
        padding = (0, _whole(count, _QUAD) - count), (0, length - outputs)
        weights.append(np.pad(taps.weights.T, padding).ravel())
    return TapTables(np.concatenate(starts), np.concatenate(weights), np.array(table, np.int64).reshape(-1, 4))


def _whole(count: int, size: int) -> int:
    return -(-count // size) * size


def _quad_step(*, further: bool) -> Callable[..., None]:
    """Make ``step(line, starts, weights, out, at, shift, weights_at, length, out_at)``.

    For 16 outputs: four taps of the filter of a line, the first at ``starts[at] + shift``; ``further`` adds to what is
    in ``out``.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def step(
        typing_context: Any, line: Any, starts: Any, weights: Any, out: Any, at: Any, shift: Any, weights_at: Any,
        length: Any, out_at: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            line_array, starts_array, weights_array, out_array, first, shift_, first_weight, stride, target = args
            source = Memory(context, builder, signature.args[0], line_array, shift_)
            factors = Memory(context, builder, signature.args[2], weights_array, first_weight)
            result = Memory(context, builder, signature.args[3], out_array, target)
            table = context.make_array(signature.args[1])(context, builder, starts_array).data
            places = [
                builder.load(builder.gep(table, [builder.add(first, ir.Constant(first.type, i))])) for i in range(LANES)
            ]
            total = result.load(0) if further else None
            for k, samples in enumerate(four_by_four(builder, [source.load_four(place) for place in places])):
                term = factors.load(builder.mul(stride, stride.type(k))) * samples
                total = term if total is None else total + term
            assert total is not None
            result.store(total, 0)
            return context.get_dummy_value()

        return types.void(line, starts, weights, out, *(types.intp,) * 5), generate

    return step  # type: ignore[no-any-return]


_first_quad, _further_quad = _quad_step(further=False), _quad_step(further=True)


@njit(nogil=True, cache=True)
def resample(source, out, width, tables, rows, columns, first, last):  # type: ignore[no-untyped-def]
    """Write the rows ``first`` to ``last`` (excluded) of resampled planes: filtered along columns, then along rows.

    Parameters
    ----------
    source, out
        As many planes in both.
    width
        Of ``source``.
    tables, rows, columns
        The taps, and which of their axes are those of the rows and of the columns.
    first, last
        Rows to do.
    """
    starts, weights, axes = tables
    row_starts, row_weights, row_taps = axes[rows, 0], axes[rows, 1], axes[rows, 3]
    at, quads, taps = axes[columns, 0], axes[columns, 1], axes[columns, 3]
    row_length = (axes[rows, 2] + LANES - 1) // LANES * LANES
    length = (axes[columns, 2] + LANES - 1) // LANES * LANES
    line = np.zeros(width + _QUAD, np.float32)  # a quad may reach over the end, with weights of zero
    results, stride = out.reshape(-1), out.shape[2]
    for y in range(first, last):
        for i in range(source.shape[1]):
            for k in range(row_taps):
                samples = source[PAD_ROWS + starts[row_starts + y] + k, i, PAD_LEFT : PAD_LEFT + width]
                weight = weights[row_weights + k * row_length + y]
                if k == 0:
                    for x in range(width):
                        line[x] = weight * samples[x]
                else:
                    for x in range(width):
                        line[x] += weight * samples[x]
            to = ((PAD_ROWS + y) * out.shape[1] + i) * stride + PAD_LEFT
            for x in range(0, length, LANES):
                _first_quad(line, starts, weights, results, at + x, 0, quads + x, length, to + x)
                for k in range(_QUAD, taps, _QUAD):
                    _further_quad(line, starts, weights, results, at + x, k, quads + k * length + x, length, to + x)


@lru_cache(16)
def image_tables(sizes: tuple[tuple[int, int], ...], scale_factor: float, sigma: float) -> TapTables:
    """Return the taps that lead to each level of a pyramid, rows and columns: those of smoothing first, if it is."""
    blurs = [sigma, *[level_blur(scale_factor)] * (len(sizes) - 1)]
    below = [sizes[0], *sizes[:-1]]
    return pack([
        gaussian_taps(below[level][axis], sizes[level][axis], blur)
        for level, blur in enumerate(blurs) if blur for axis in range(2)
    ])  # fmt: skip


@lru_cache(16)
def flow_tables(sizes: tuple[tuple[int, int], ...]) -> TapTables:
    """Return the taps that lead a flow to each level from the next coarser one, rows and columns."""
    return pack([
        linear_taps(coarser[axis], finer[axis], 1.0)
        for finer, coarser in pairwise(sizes) for axis in range(2)
    ])  # fmt: skip


def build_pyramid(
    frame: NDArray[Any],
    sizes: Sequence[tuple[int, int]],
    scale_factor: float,
    sigma: float,
    memory: Planes | None = None,
    scratch: Planes | None = None,
) -> Planes:
    """Return one plane for each level, edges repeated, one behind the other: ``level_planes`` finds them.

    Parameters
    ----------
    frame
        ``(H, W)``, any real type.
    sizes
        From ``level_sizes``.
    scale_factor
        Between levels.
    sigma
        Standard deviation of the Gaussian that the finest level is smoothed with, in pixels; 0: not at all.
    memory
        A pyramid of the same sizes that nobody needs any more, to write to; new by default.
    scratch
        Memory for a plane of the finest level, overwritten; new by default.
    """
    if memory is None:
        memory = new_planes_memory(sum(num_floats(*size, 1) for size in sizes))
    if scratch is None:
        scratch = new_planes_memory(num_floats(*sizes[0], 1))
    raw = planes_in(scratch if sigma else memory, *sizes[0], 1)
    pixels(raw, *sizes[0])[:, 0] = frame
    _build_levels(raw, memory, np.array(sizes), image_tables(tuple(sizes), scale_factor, sigma), sigma > 0)
    return memory


@njit(nogil=True, cache=True)
def _build_levels(raw, memory, sizes, tables, smooth):  # type: ignore[no-untyped-def]
    source, width, at, axis = raw, sizes[0, 1], 0, 0
    for level in range(len(sizes)):
        height = sizes[level, 0]
        plane = planes_in(memory[at:], height, sizes[level, 1], 1)
        if level or smooth:
            resample(source, plane, width, tables, axis, axis + 1, 0, height)
            axis += 2
        width = sizes[level, 1]
        repeat_edges(plane, height, width, 0, height)
        source = plane
        at += num_floats(height, width, 1)


def level_planes(memory: Planes, sizes: Sequence[tuple[int, int]]) -> list[Planes]:
    """Return the levels of a pyramid."""
    ends = np.cumsum([num_floats(*size, 1) for size in sizes])
    return [planes_in(memory[end - num_floats(*size, 1) :], *size, 1) for end, size in zip(ends, sizes, strict=True)]


@njit(nogil=True, cache=True)
def upsample_flow(  # type: ignore[no-untyped-def]
    flow, out, height, width, out_height, out_width, tables, axis, first, last
):
    """Interpolate a flow linearly to a finer level, and lengthen its vectors accordingly.

    Parameters
    ----------
    flow, out
        Planes of u.
    height, width, out_height, out_width
        Of both levels.
    tables, axis
        From ``flow_tables``, and where the rows' are among them: at twice the finer level.
    first, last
        Rows of ``out`` to do, ``last`` excluded.
    """
    resample(flow, out, width, tables, axis, axis + 1, first, last)
    along_x, along_y = np.float32(out_width / width), np.float32(out_height / height)
    for y in range(first, last):
        for i in range(2):
            gain = along_y if i else along_x
            for x in range(PAD_LEFT, PAD_LEFT + out_width):
                out[PAD_ROWS + y, i, x] *= gain
