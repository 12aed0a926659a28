"""The inner loops of matching, in portable LLVM vector IR: dot products held in registers, and the softmax over them.

A block of dot products is ``rows`` rows of the first image times ``columns`` horizontal shifts of one row of the
second, for as many neighbouring pixels as a vector has lanes. Each load of the second image, which is unaligned and
so costs two, is used by every row of the block; that is what makes the multiplications, not the loads, the limit.
How many sums fit depends on the registers of this machine.

Every function takes C-contiguous arrays and indices into their flattened form, and checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ._simd import _pointer

_INT32, _FLOAT32 = ir.IntType(32), ir.FloatType()


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
STATE = 4 * LANES  # floats that ``soften`` and ``elect`` keep for a vector of pixels
PIXELS = min(8, LANES)  # that ``unit_pixels`` takes at a time

_VECTOR, _INT_VECTOR = ir.VectorType(_FLOAT32, LANES), ir.VectorType(_INT32, LANES)

# 2^f on [-1/2, 1/2], from f^0 to f^5; 2^0 is exact, the largest relative error is the least there is: 1e-7.
_EXP2 = (1.0, 0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647)


def _reals(value: float, lanes: int = LANES) -> Any:
    return ir.Constant(ir.VectorType(_FLOAT32, lanes), [value] * lanes)


def _integers(value: int, lanes: int = LANES) -> Any:
    return ir.Constant(ir.VectorType(_INT32, lanes), [value] * lanes)


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of floats."""
    vector = args[0].type
    function_type = ir.FunctionType(vector, [vector] * len(args))
    full_name = f"llvm.{name}.v{vector.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), args)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)  # one instruction, as NaN does not matter


def _splat(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, _integers(0, lanes))


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes))


def _moved(builder: Any, pointer: Any, steps: Any, stride: Any = None) -> Any:
    """Return ``pointer + steps * stride``; ``steps`` may be a Python integer."""
    index = ir.Constant(ir.IntType(64), steps) if isinstance(steps, int) else steps
    return builder.gep(pointer, [index if stride is None else builder.mul(index, stride)])


def _load(builder: Any, pointer: Any, offset: int = 0, kind: Any = _VECTOR) -> Any:
    moved = _moved(builder, pointer, offset) if offset else pointer
    return builder.load(builder.bitcast(moved, kind.as_pointer()), align=4)


def _store(builder: Any, value: Any, pointer: Any, offset: int = 0) -> None:
    moved = _moved(builder, pointer, offset) if offset else pointer
    builder.store(value, builder.bitcast(moved, value.type.as_pointer()), align=4)


def _transposed_quarters(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose the 4 x 4 blocks of four vectors, each block within its 128 bits."""

    def pick(a: Any, b: Any, lanes: tuple[int, ...]) -> Any:  # lanes 4 to 7 are those of b
        picked = [g + lane % 4 + (PIXELS if lane > 3 else 0) for g in range(0, PIXELS, 4) for lane in lanes]
        return _shuffle(builder, a, b, picked)

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
    half = ir.VectorType(_FLOAT32, 4)
    columns = []
    for first in range(0, PIXELS, 4):
        quarters = []
        for i in range(4):
            parts = [_load(builder, _moved(builder, pointer, k, stride), first, half) for k in range(i, PIXELS, 4)]
            quarters.append(parts[0] if len(parts) == 1 else _shuffle(builder, parts[0], parts[1], list(range(8))))
        columns += _transposed_quarters(builder, quarters)
    return columns


def _block(builder: Any, shape: tuple[int, int], operands: dict[str, Any]) -> None:
    """Emit the loop over channels for one shape of block, and the stores of its sums."""
    rows, columns = shape
    sums = [[cgutils.alloca_once_value(builder, _reals(0.0)) for _ in range(columns)] for _ in range(rows)]
    for row in sums:
        for total in row:
            builder.store(_reals(0.0), total)
    row_pointers = [_moved(builder, operands["first"], k, operands["row_stride"]) for k in range(rows)]
    with cgutils.for_range(builder, operands["channels"]) as loop:
        offset = builder.mul(loop.index, operands["channel_stride"])
        features = [_load(builder, _moved(builder, pointer, offset)) for pointer in row_pointers]
        second = _moved(builder, operands["second"], offset)
        for j in range(columns):
            neighbour = _load(builder, second, j)
            for k in range(rows):
                total = sums[k][j]
                builder.store(_call(builder, "fmuladd", features[k], neighbour, builder.load(total)), total)
    for k in range(rows):
        out = _moved(builder, operands["out"], k, operands["out_stride"])
        for j in range(columns):
            _store(builder, builder.load(sums[k][j]), out, j * LANES)


@intrinsic  # type: ignore[untyped-decorator]
def unit_pixels(
    typing_context: Any, samples: Any, index: Any, channels: Any, length: Any, planes: Any, target: Any, line: Any
) -> Any:
    """Give ``PIXELS`` features the same length and transpose them, so that every channel has a line.

    ``planes[target + c * line + i]`` is ``samples[index + i * channels + c]`` times ``length``, float32, over the
    feature's own length. Features shorter than 1e-18 become 0. Returns whether all were finite and shorter than 1e18.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, count, wanted, plane_array, first_plane, stride = args
        source = _pointer(context, builder, samples, array, first)
        out = _pointer(context, builder, planes, plane_array, first_plane)
        pixels = ir.VectorType(_FLOAT32, PIXELS)
        squares = [cgutils.alloca_once(builder, pixels) for _ in range(4)]  # sums that do not wait for each other
        for partial_sum in squares:
            builder.store(_reals(0.0, PIXELS), partial_sum)

        def keep(columns: list[Any], channel: Any) -> None:
            for i, column in enumerate(columns):
                partial_sum = squares[i % len(squares)]
                builder.store(_call(builder, "fmuladd", column, column, builder.load(partial_sum)), partial_sum)
                place = builder.add(channel, ir.Constant(channel.type, i))
                _store(builder, column, _moved(builder, out, place, stride))

        step = ir.Constant(count.type, PIXELS)
        blocks = builder.udiv(count, step)
        with cgutils.for_range(builder, blocks) as loop:
            channel = builder.mul(loop.index, step)
            keep(_transposed(builder, _moved(builder, source, channel), count), channel)
        with cgutils.for_range(builder, count, start=builder.mul(blocks, step)) as loop:
            column = ir.Constant(pixels, ir.Undefined)
            for i in range(PIXELS):
                pointer = _moved(builder, _moved(builder, source, i, count), loop.index)
                column = builder.insert_element(column, builder.load(pointer), ir.Constant(_INT32, i))
            keep([column], loop.index)
        a, b, c, d = (builder.load(partial_sum) for partial_sum in squares)
        total = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
        scale = builder.fdiv(_splat(builder, wanted, PIXELS), _call(builder, "sqrt", total))
        long_enough = builder.fcmp_ordered(">", total, _reals(1e-36, PIXELS))
        scale = builder.select(long_enough, scale, _reals(0.0, PIXELS))
        with cgutils.for_range(builder, count) as loop:
            pointer = _moved(builder, out, loop.index, stride)
            _store(builder, builder.fmul(_load(builder, pointer, kind=pixels), scale), pointer)
        finite = builder.fcmp_ordered("<", total, _reals(1e36, PIXELS))
        bits = builder.bitcast(finite, ir.IntType(PIXELS))
        return builder.icmp_signed("==", bits, ir.Constant(bits.type, -1))

    n = types.intp
    return types.boolean(samples, n, n, length, planes, n, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def correlate(
    typing_context: Any, rows: Any, columns: Any, first: Any, first_index: Any, row_stride: Any, second: Any,
    second_index: Any, channel_stride: Any, channels: Any, out: Any, out_index: Any, out_stride: Any,
) -> Any:  # fmt: skip
    """Write ``rows`` x ``columns`` vectors of dot products.

    ``out[out_index + k * out_stride + j * LANES + lane]`` is the sum over channels ``c`` of ``first[first_index +
    k * row_stride + c * channel_stride + lane] * second[second_index + c * channel_stride + j + lane]``, all float32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        num_rows, num_columns, first_array, i, stride, second_array, j, channel, count, out_array, o, step = args
        operands = {
            "first": _pointer(context, builder, first, first_array, i),
            "row_stride": stride,
            "second": _pointer(context, builder, second, second_array, j),
            "channel_stride": channel,
            "channels": count,
            "out": _pointer(context, builder, out, out_array, o),
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
    return types.void(n, n, first, n, n, second, n, n, n, out, n, n), generate


def _exp2(builder: Any, x: Any) -> Any:
    """``2^x`` of lanes of at most 0, relative error 2e-7; below -126 it is 2^-126, nothing beside the largest term."""
    x = _larger(builder, x, _reals(-126.0))
    shift = _reals(float(3 << 22))  # adding it rounds to an integer, which is then in the lowest bits
    rounded = builder.fadd(x, shift)
    f = builder.fsub(x, builder.fsub(rounded, shift))
    power = _reals(_EXP2[5])
    for coefficient in _EXP2[4::-1]:
        power = _call(builder, "fmuladd", power, f, _reals(coefficient))
    exponent = builder.shl(builder.bitcast(rounded, _INT_VECTOR), _integers(23))
    return builder.bitcast(builder.add(builder.bitcast(power, _INT_VECTOR), exponent), _VECTOR)


@intrinsic  # type: ignore[untyped-decorator]
def soften(
    typing_context: Any, exponents: Any, index: Any, columns: Any, dx: Any, dy: Any, state: Any, state_index: Any
) -> Any:
    """Add one row of the window to an online softmax of base 2.

    ``exponents[index + j * LANES + lane]`` are logarithms of weights; ``state[state_index:]`` holds the largest of
    them so far, and relative to it the sums of weights, of weights times x and of weights times y. Column ``j`` has
    displacement ``(dx + j, dy)``, float32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, num_columns, x0, y, state_array, s = args
        source = _pointer(context, builder, exponents, array, first)
        target = _pointer(context, builder, state, state_array, s)
        lanes = ir.Constant(first.type, LANES)
        old = _load(builder, target)
        largest = cgutils.alloca_once_value(builder, old)
        builder.store(old, largest)
        with cgutils.for_range(builder, num_columns) as loop:
            exponent = _load(builder, _moved(builder, source, loop.index, lanes))
            builder.store(_larger(builder, builder.load(largest), exponent), largest)
        new = builder.load(largest)
        weights, moments, x = (cgutils.alloca_once(builder, _VECTOR) for _ in range(3))
        builder.store(_reals(0.0), weights)
        builder.store(_reals(0.0), moments)
        builder.store(_splat(builder, x0), x)
        with cgutils.for_range(builder, num_columns) as loop:
            exponent = _load(builder, _moved(builder, source, loop.index, lanes))
            weight = _exp2(builder, builder.fsub(exponent, new))
            builder.store(builder.fadd(builder.load(weights), weight), weights)
            builder.store(_call(builder, "fmuladd", weight, builder.load(x), builder.load(moments)), moments)
            builder.store(builder.fadd(builder.load(x), _reals(1.0)), x)
        scale = _exp2(builder, builder.fsub(old, new))
        total = builder.load(weights)
        increments = (total, builder.load(moments), builder.fmul(total, _splat(builder, y)))
        _store(builder, new, target)
        for i, increment in enumerate(increments, 1):
            so_far = _load(builder, target, i * LANES)
            _store(builder, _call(builder, "fmuladd", so_far, scale, increment), target, i * LANES)
        return context.get_dummy_value()

    n, real = types.intp, types.float32
    return types.void(exponents, n, n, real, real, state, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def elect(
    typing_context: Any, scores: Any, index: Any, columns: Any, ranks: Any, rank_index: Any, state: Any,
    state_index: Any,
) -> Any:  # fmt: skip
    """Add one row of the window to a vote: the highest score wins, among equals the lowest rank.

    ``scores[index + j * LANES + lane]`` has rank ``ranks[rank_index + j]``, int32; ``state[state_index:]`` holds the
    highest score so far and the bits of its rank.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, num_columns, rank_array, first_rank, state_array, s = args
        source = _pointer(context, builder, scores, array, first)
        rank_source = _pointer(context, builder, ranks, rank_array, first_rank)
        target = _pointer(context, builder, state, state_array, s)
        best, winner = cgutils.alloca_once(builder, _VECTOR), cgutils.alloca_once(builder, _INT_VECTOR)
        builder.store(_load(builder, target), best)
        builder.store(_load(builder, target, LANES, _INT_VECTOR), winner)
        with cgutils.for_range(builder, num_columns) as loop:
            score = _load(builder, _moved(builder, source, loop.index, ir.Constant(first.type, LANES)))
            rank = _splat(builder, builder.load(_moved(builder, rank_source, loop.index)))
            before, rank_before = builder.load(best), builder.load(winner)
            tied = builder.and_(builder.fcmp_ordered("==", score, before), builder.icmp_signed("<", rank, rank_before))
            wins = builder.or_(builder.fcmp_ordered(">", score, before), tied)
            builder.store(builder.select(wins, score, before), best)
            builder.store(builder.select(wins, rank, rank_before), winner)
        _store(builder, builder.load(best), target)
        _store(builder, builder.load(winner), target, LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(scores, n, n, ranks, n, state, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def interleave(typing_context: Any, planes: Any, index: Any, count: Any, out: Any, out_index: Any) -> Any:
    """Transpose ``count`` vectors of pixels, at least ``PIXELS``, to pixels of ``count`` values.

    ``out[out_index + lane * count + j]`` becomes ``planes[index + j * LANES + lane]``, float32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, size, out_array, o = args
        source = _pointer(context, builder, planes, array, first)
        target = _pointer(context, builder, out, out_array, o)
        step, lanes = ir.Constant(size.type, PIXELS), ir.Constant(size.type, LANES)
        blocks = builder.udiv(builder.add(size, ir.Constant(size.type, PIXELS - 1)), step)
        last = builder.sub(size, step)
        for lane in range(0, LANES, PIXELS):
            with cgutils.for_range(builder, blocks) as loop:
                j = builder.mul(loop.index, step)
                j = builder.select(builder.icmp_signed("<", j, last), j, last)  # the last block overlaps that before
                block = _moved(builder, _moved(builder, source, j, lanes), lane)
                for i, column in enumerate(_transposed(builder, block, lanes)):
                    pixel = _moved(builder, target, size, ir.Constant(size.type, lane + i))
                    _store(builder, column, _moved(builder, pixel, j))
        return context.get_dummy_value()

    n = types.intp
    return types.void(planes, n, n, out, n), generate


def _prefetch(writing: bool) -> Callable[..., None]:
    """Make ``fetch(samples, index)``: ask for the cache line of ``samples[index]`` and do not wait for it."""
    hints = (1, 3, 1) if writing else (0, 2, 1)  # to write, into L1; to read, into L2

    @intrinsic  # type: ignore[untyped-decorator]
    def fetch(typing_context: Any, samples: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.bitcast(_pointer(context, builder, samples, *args), cgutils.voidptr_t)
            function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _INT32, _INT32, _INT32])
            function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
            builder.call(function, [pointer, *(ir.Constant(_INT32, hint) for hint in hints)])
            return context.get_dummy_value()

        return types.void(samples, types.intp), generate

    return fetch  # type: ignore[no-any-return]


fetch = _prefetch(writing=False)
fetch_to_write = _prefetch(writing=True)
