"""The inner loops of matching, in portable LLVM vector IR: unit features in planes, and dot products in registers.

A block of dot products is ``rows`` rows of the first image times ``columns`` horizontal shifts of one row of the
second, for as many neighbouring pixels as a vector has lanes. Each load of the second image, which is unaligned and
so costs two, is used by every row of the block; that is what makes the multiplications, not the loads, the limit.
How many sums fit depends on the registers of this machine.

Every function takes C-contiguous arrays and indices into their flattened form, and checks nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ._vectors import FLOAT, INT32, call, load, moved, pointer_to, prefetch, reals, shuffle, splat, store


def _blocking() -> tuple[int, int]:
    """Return lanes of a vector and columns of a block: rows x columns sums, rows more vectors and one must fit.

    Decided by what Numba compiles for, which its cache tells apart too, and not by the machine this runs on.
    """
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    present = features.split(",")
    if "+avx512f" in present:
        return 16, 9  # 32 registers
    if "+avx2" in present:
        return 8, 4  # 16 registers
    if triple.startswith(("aarch64", "arm64")):
        return 4, 9  # 32 registers
    return 4, 4  # 16 registers


MAX_ROWS = 3
LANES, MAX_COLUMNS = _blocking()
PIXELS = min(8, LANES)  # that ``unit_pixels`` takes at a time

_LINE = 16  # floats of a cache line
_VECTOR = ir.VectorType(FLOAT, LANES)


def _transposed_quarters(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose the 4 x 4 blocks of four vectors, each block within its 128 bits."""

    def pick(a: Any, b: Any, lanes: tuple[int, ...]) -> Any:  # lanes 4 to 7 are those of b
        picked = [g + lane % 4 + (PIXELS if lane > 3 else 0) for g in range(0, PIXELS, 4) for lane in lanes]
        return shuffle(builder, a, b, picked)

    a, b, c, d = rows
    low0, high0 = (pick(a, b, lanes) for lanes in ((0, 4, 1, 5), (2, 6, 3, 7)))
    low1, high1 = (pick(c, d, lanes) for lanes in ((0, 4, 1, 5), (2, 6, 3, 7)))
    pairs = (low0, low1), (high0, high1)
    return [pick(x, y, lanes) for x, y in pairs for lanes in ((0, 1, 4, 5), (2, 3, 6, 7))]


def _transposed(builder: Any, pointer: Any, stride: Any) -> list[Any]:
    """Load ``PIXELS`` rows of as many floats, ``stride`` apart, and return their columns.

    Quarters of rows come together as they are loaded, so that the two rounds left stay inside 128 bits, where
    shuffles are cheapest.
    """
    half = ir.VectorType(FLOAT, 4)
    columns = []
    for first in range(0, PIXELS, 4):
        quarters = []
        for i in range(4):
            parts = [load(builder, moved(builder, pointer, k, stride), half, first) for k in range(i, PIXELS, 4)]
            quarters.append(parts[0] if len(parts) == 1 else shuffle(builder, parts[0], parts[1], list(range(8))))
        columns += _transposed_quarters(builder, quarters)
    return columns


def _block(builder: Any, shape: tuple[int, int], operands: dict[str, Any]) -> None:
    """Emit the loop over channels for one shape of block, and the stores of its sums."""
    rows, columns = shape
    sums = [[cgutils.alloca_once_value(builder, reals(0.0, LANES)) for _ in range(columns)] for _ in range(rows)]
    for row in sums:
        for total in row:
            builder.store(reals(0.0, LANES), total)
    row_pointers = [moved(builder, operands["first"], k, operands["row_stride"]) for k in range(rows)]
    with cgutils.for_range(builder, operands["channels"]) as loop:
        prefetch(builder, moved(builder, operands["soon"], loop.index, ir.Constant(loop.index.type, LANES)))
        offset = builder.mul(loop.index, operands["channel_stride"])
        features = [load(builder, moved(builder, pointer, offset), _VECTOR) for pointer in row_pointers]
        second = moved(builder, operands["second"], offset)
        for j in range(columns):
            neighbour = load(builder, second, _VECTOR, j)
            for k in range(rows):
                total = sums[k][j]
                builder.store(call(builder, "fmuladd", features[k], neighbour, builder.load(total)), total)
    for k in range(rows):
        out = moved(builder, operands["out"], k, operands["out_stride"])
        for j in range(columns):
            store(builder, builder.load(sums[k][j]), out, j * LANES)


@intrinsic  # type: ignore[untyped-decorator]
def unit_pixels(
    typing_context: Any, samples: Any, index: Any, channels: Any, length: Any, planes: Any, target: Any, line: Any
) -> Any:
    """Give ``PIXELS`` features the same length and transpose them, so that every channel has a line.

    ``planes[target + c * line + i]`` is ``samples[index + i * channels + c]`` times ``length``, float32, over the
    feature's own length. Features shorter than 1e-18 become 0. Returns whether all were finite and shorter than 1e18.
    Those after the next ``PIXELS`` are fetched.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, count, wanted, plane_array, first_plane, stride = args
        source = pointer_to(context, builder, samples, array, first)
        out = pointer_to(context, builder, planes, plane_array, first_plane)
        pixels = ir.VectorType(FLOAT, PIXELS)
        squares = [cgutils.alloca_once(builder, pixels) for _ in range(4)]  # sums that do not wait for each other
        for partial_sum in squares:
            builder.store(reals(0.0, PIXELS), partial_sum)

        def keep(columns: list[Any], channel: Any) -> None:
            for i, column in enumerate(columns):
                partial_sum = squares[i % len(squares)]
                builder.store(call(builder, "fmuladd", column, column, builder.load(partial_sum)), partial_sum)
                place = builder.add(channel, ir.Constant(channel.type, i))
                store(builder, column, moved(builder, out, place, stride))

        step = ir.Constant(count.type, PIXELS)
        blocks = builder.udiv(count, step)
        with cgutils.for_range(builder, blocks) as loop:
            channel = builder.mul(loop.index, step)
            later = moved(builder, moved(builder, source, 2 * PIXELS, count), builder.mul(channel, step))
            for i in range(0, PIXELS * PIXELS, _LINE):
                prefetch(builder, moved(builder, later, i))
            keep(_transposed(builder, moved(builder, source, channel), count), channel)
        with cgutils.for_range(builder, count, start=builder.mul(blocks, step)) as loop:
            column = ir.Constant(pixels, ir.Undefined)
            for i in range(PIXELS):
                pointer = moved(builder, moved(builder, source, i, count), loop.index)
                column = builder.insert_element(column, builder.load(pointer), ir.Constant(INT32, i))
            keep([column], loop.index)
        a, b, c, d = (builder.load(partial_sum) for partial_sum in squares)
        total = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
        scale = builder.fdiv(splat(builder, wanted, PIXELS), call(builder, "sqrt", total))
        long_enough = builder.fcmp_ordered(">", total, reals(1e-36, PIXELS))
        scale = builder.select(long_enough, scale, reals(0.0, PIXELS))
        with cgutils.for_range(builder, count) as loop:
            pointer = moved(builder, out, loop.index, stride)
            store(builder, builder.fmul(load(builder, pointer, pixels), scale), pointer)
        finite = builder.fcmp_ordered("<", total, reals(1e36, PIXELS))
        bits = builder.bitcast(finite, ir.IntType(PIXELS))
        return builder.icmp_signed("==", bits, ir.Constant(bits.type, -1))

    n = types.intp
    return types.boolean(samples, n, n, length, planes, n, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def correlate(
    typing_context: Any, rows: Any, columns: Any, first: Any, first_index: Any, row_stride: Any, second: Any,
    second_index: Any, channel_stride: Any, channels: Any, soon: Any, out: Any,
    out_index: Any, out_stride: Any,
) -> Any:  # fmt: skip
    """Write ``rows`` x ``columns`` vectors of dot products.

    ``out[out_index + k * out_stride + j * LANES + lane]`` is the sum over channels ``c`` of ``first[first_index +
    k * row_stride + c * channel_stride + lane] * second[second_index + c * channel_stride + j + lane]``, all float32.
    Meanwhile ``LANES`` features of as many channels are fetched from address ``soon``, one cache line in each step of
    the loop: a burst of them would wait for memory.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        num_rows, num_columns, first_array, i, stride, second_array, j, channel, count, later, out_array, o, step = args
        operands = {
            "soon": builder.inttoptr(later, FLOAT.as_pointer()),
            "first": pointer_to(context, builder, first, first_array, i),
            "row_stride": stride,
            "second": pointer_to(context, builder, second, second_array, j),
            "channel_stride": channel,
            "channels": count,
            "out": pointer_to(context, builder, out, out_array, o),
            "out_stride": step,
        }
        index = num_rows.type
        shape = builder.add(builder.mul(num_rows, ir.Constant(index, MAX_COLUMNS + 1)), num_columns)
        done = builder.append_basic_block("done")
        with builder.goto_block(builder.append_basic_block("none")):
            builder.branch(done)
            none = builder.block
        switch = builder.switch(shape, none)
        for k in range(1, MAX_ROWS + 1):
            for n in range(1, MAX_COLUMNS + 1):
                block = builder.append_basic_block(f"rows{k}_columns{n}")
                switch.add_case(ir.Constant(index, k * (MAX_COLUMNS + 1) + n), block)
                with builder.goto_block(block):
                    _block(builder, (k, n), operands)
                    builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    n = types.intp
    return types.void(n, n, first, n, n, second, n, n, n, n, out, n, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def interleave(typing_context: Any, planes: Any, index: Any, count: Any, out: Any, out_index: Any) -> Any:
    """Transpose ``count`` vectors of pixels, at least ``PIXELS``, to pixels of ``count`` values.

    ``out[out_index + lane * count + j]`` becomes ``planes[index + j * LANES + lane]``, float32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, size, out_array, o = args
        source = pointer_to(context, builder, planes, array, first)
        target = pointer_to(context, builder, out, out_array, o)
        step, lanes = ir.Constant(size.type, PIXELS), ir.Constant(size.type, LANES)
        blocks = builder.udiv(builder.add(size, ir.Constant(size.type, PIXELS - 1)), step)
        last = builder.sub(size, step)
        for lane in range(0, LANES, PIXELS):
            with cgutils.for_range(builder, blocks) as loop:
                j = builder.mul(loop.index, step)
                j = builder.select(builder.icmp_signed("<", j, last), j, last)  # the last block overlaps that before
                block = moved(builder, moved(builder, source, j, lanes), lane)
                for i, column in enumerate(_transposed(builder, block, lanes)):
                    pixel = moved(builder, target, size, ir.Constant(size.type, lane + i))
                    store(builder, column, moved(builder, pixel, j))
        return context.get_dummy_value()

    n = types.intp
    return types.void(planes, n, n, out, n), generate
