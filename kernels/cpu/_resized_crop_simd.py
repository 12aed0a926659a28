"""The inner loops of resized crops, in portable LLVM vector IR, on tiles of 8 x 8 samples.

Interpolating between rows is plain SIMD on samples side by side; between columns it is not, as each pixel has its own
neighbours. So eight rows of the result are made together: what comes from between rows is transposed, sample by
sample, to vectors of eight rows, the vectors of neighbouring columns are mixed, and the results transposed back, which
takes a channel's values out from between the others on the way. Where nothing is mixed and there are few channels,
``copy_pixels`` takes them apart directly.

Every function takes C-contiguous arrays and indices into their flattened form, and checks nothing. Halves are passed
as uint16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._vectors import FLOAT, INT32, INT64, call, pointer_to, shuffle, splat

LANES = 8  # rows and columns of a tile
RUN = 16  # pixels that are copied at a time
MOST_SPREAD = 4  # channels that are taken apart without a transpose
LARGE = 8 << 20  # bytes of a result that the last cache would not keep until somebody reads it
_LINE = 64  # bytes

_HALF, _INT16 = ir.HalfType(), ir.IntType(16)
# Three rounds of a transpose: pairs of elements, pairs of pairs, halves. Each is one instruction with vectors of 32
# bytes that are two of 16.
_ROUNDS = (
    (1, [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
    (2, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
    (4, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of 8 vectors of 8."""
    for distance, low, high in _ROUNDS:
        mixed = list(rows)
        for i in range(LANES):
            if not i & distance:
                a, b = rows[i], rows[i + distance]
                mixed[i], mixed[i + distance] = shuffle(builder, a, b, low), shuffle(builder, a, b, high)
        rows = mixed
    # rounds 1 and 2 leave the columns of each quarter in the order 0, 2, 1, 3
    return [rows[i] for i in (0, 2, 1, 3, 4, 6, 5, 7)]


def _as_floats(builder: Any, values: Any, kind: Any) -> Any:
    """Turn a vector of samples of Numba type ``kind`` into floats."""

    def vector(element: Any) -> Any:
        return ir.VectorType(element, values.type.count)

    if kind == types.float32:
        return values
    if kind == types.uint16:
        return builder.fpext(builder.bitcast(values, vector(_HALF)), vector(FLOAT))
    widen = builder.sext if kind.signed else builder.zext
    return builder.sitofp(widen(values, vector(INT32)), vector(FLOAT))


def _samples(builder: Any, pointer: Any, kind: Any, lanes: int = LANES) -> Any:
    """Load samples of Numba type ``kind``."""
    vector = ir.VectorType(pointer.type.pointee, lanes)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=kind.bitwidth // 8)


def _mixed(builder: Any, a: Any, b: Any, weight: Any) -> Any:
    """``a + (b - a) * weight``: exactly ``a`` at 0, and wherever both are one."""
    return call(builder, "fma", builder.fsub(b, a), weight, a)


def _put(builder: Any, value: Any, pointer: Any, *, around_cache: bool = False) -> None:
    """Store floats where floats or halves go; straight to memory if they lie there as vectors of eight do."""
    lanes = value.type.count
    if pointer.type.pointee == _INT16:
        halves = builder.fptrunc(value, ir.VectorType(_HALF, lanes))
        value = builder.bitcast(halves, ir.VectorType(_INT16, lanes))
    item = 2 if pointer.type.pointee == _INT16 else 4
    place = builder.bitcast(pointer, value.type.as_pointer())
    instruction = builder.store(value, place, align=item * (lanes if around_cache else 1))
    if around_cache:
        instruction.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))


@intrinsic  # type: ignore[untyped-decorator]
def mix_rows(typing_context: Any, samples: Any, places: Any, weights: Any, count: Any, plain: Any, columns: Any) -> Any:
    """Make ``count`` vectors of eight rows: ``columns[8 i + r]``, float32, from the samples of row r.

    Sample i of row r lies between ``samples[places[r] + i]`` and ``samples[places[8 + r] + i]``, whose weight is
    ``weights[r]``; ``plain`` if all weights are 0. ``count`` is at least 8; the last tile overlaps that before.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, place_array, weight_array, size, all_plain, target = args

        def index(value: int) -> Any:
            return INT64(value)

        base = pointer_to(context, builder, samples, source, index(0))
        rows = []
        for r in range(2 * LANES):
            place = builder.load(pointer_to(context, builder, places, place_array, index(r)))
            rows.append(builder.gep(base, [place]))
        shares = []
        for r in range(LANES):
            share = builder.load(pointer_to(context, builder, weights, weight_array, index(r)))
            shares.append(splat(builder, share, LANES))
        last = builder.sub(size, index(LANES))
        tiles = builder.sdiv(builder.add(size, index(LANES - 1)), index(LANES))

        def tile(plainly: bool) -> None:
            with cgutils.for_range(builder, tiles) as loop:
                first = builder.mul(loop.index, index(LANES))
                first = builder.select(builder.icmp_signed("<", first, last), first, last)
                values = []
                for r in range(LANES):
                    upper = _as_floats(
                        builder, _samples(builder, builder.gep(rows[r], [first]), samples.dtype), samples.dtype
                    )
                    if plainly:
                        values.append(upper)
                        continue
                    lower = _samples(builder, builder.gep(rows[LANES + r], [first]), samples.dtype)
                    lower = _as_floats(builder, lower, samples.dtype)
                    values.append(_mixed(builder, upper, lower, shares[r]))
                goal = pointer_to(context, builder, columns, target, builder.mul(first, index(LANES)))
                for k, column in enumerate(_transposed(builder, values)):
                    _put(builder, column, builder.gep(goal, [index(LANES * k)]))

        with builder.if_else(all_plain) as (plainly, mixing):
            with plainly:
                tile(True)
            with mixing:
                tile(False)
        return context.get_dummy_value()

    n = types.intp
    return types.void(samples, places, weights, n, types.boolean, columns), generate


def _mix_columns(around_cache: bool) -> Callable[..., None]:
    """Make ``mix_columns(columns, places, weights, count, plain, channels, affine, affine_index, ...)``.

    It makes eight rows of ``count`` pixels of every channel, at ``out[index + plane c + row r + j]``, float32 or half:
    ``(..., out, index, plane, row)``. Pixel j lies between the vectors ``columns[places[j] + 8 c :]`` and those of the
    next pixel, whose weight is ``weights[j]``; ``plain`` if all weights are 0. Then it is multiplied by
    ``affine[affine_index + 2 c]``, and the next number is added. ``count`` is at least 8; the last tile overlaps that
    before.

    ``around_cache`` writes straight to memory, which spares reading it first. Then every row must begin at a cache line
    and consist of such.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def mix_columns(
        typing_context: Any, columns: Any, places: Any, weights: Any, count: Any, plain: Any, channels: Any,
        affine: Any, affine_index: Any, out: Any, index: Any, plane: Any, row: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (
                source, place_array, weight_array, size, all_plain, depth, affine_array, first_factor, target, begin,
                plane_size, row_size,
            ) = args  # fmt: skip
            parts = _LINE // (out.dtype.bitwidth // 8) // LANES if around_cache else 1  # tiles side by side
            step = LANES * parts
            to_next = builder.mul(depth, INT64(LANES))
            last = builder.sub(size, INT64(step))
            tiles = builder.sdiv(builder.add(size, INT64(step - 1)), INT64(step))
            base = pointer_to(context, builder, columns, source, INT64(0))

            def number(kind: Any, array: Any, at: Any) -> Any:
                return builder.load(pointer_to(context, builder, kind, array, at))

            def tile(first: Any, channel: Any, factor: Any, summand: Any, plainly: bool) -> list[Any]:
                values = []
                for k in range(LANES):
                    at = builder.add(first, INT64(k))
                    place = builder.add(number(places, place_array, at), builder.mul(channel, INT64(LANES)))
                    here = builder.gep(base, [place])
                    value = _samples(builder, here, types.float32)
                    if not plainly:
                        beside = _samples(builder, builder.gep(here, [to_next]), types.float32)
                        share = splat(builder, number(weights, weight_array, at), LANES)
                        value = _mixed(builder, value, beside, share)
                    values.append(call(builder, "fma", value, factor, summand))
                return _transposed(builder, values)

            def make(plainly: bool) -> None:
                with cgutils.for_range(builder, tiles) as loop:
                    first = builder.mul(loop.index, INT64(step))
                    first = builder.select(builder.icmp_signed("<", first, last), first, last)
                    with cgutils.for_range(builder, depth) as channel:
                        c = channel.index
                        pair = builder.add(first_factor, builder.mul(c, INT64(2)))
                        factor, summand = (
                            splat(builder, number(affine, affine_array, builder.add(pair, INT64(i))), LANES)
                            for i in (0, 1)
                        )
                        made = [
                            tile(builder.add(first, INT64(LANES * part)), c, factor, summand, plainly)
                            for part in range(parts)
                        ]
                        goal = builder.add(builder.add(begin, first), builder.mul(c, plane_size))
                        pointer = pointer_to(context, builder, out, target, goal)
                        for r in range(LANES):
                            for part in range(parts):
                                place = builder.gep(pointer, [INT64(LANES * part)])
                                _put(builder, made[part][r], place, around_cache=around_cache)
                            pointer = builder.gep(pointer, [row_size])

            with builder.if_else(all_plain) as (plainly, mixing):
                with plainly:
                    make(True)
                with mixing:
                    make(False)
            return context.get_dummy_value()

        n = types.intp
        return types.void(columns, places, weights, n, types.boolean, n, affine, n, out, n, n, n), generate

    return mix_columns  # type: ignore[no-any-return]


mix_columns, mix_columns_around_cache = _mix_columns(False), _mix_columns(True)


def _copy_pixels(around_cache: bool) -> Callable[..., None]:
    """Make ``copy_pixels(samples, first, backwards, count, channels, affine, affine_index, out, index, plane)``.

    ``count`` pixels from ``samples[first]`` on, all channels of each side by side, become rows ``out[index + plane c]``
    of floats or halves, ``backwards`` in reverse order, multiplied and added to as by ``mix_columns``. There are at
    most ``MOST_SPREAD`` channels, and at least ``RUN`` pixels; the last of so many overlap those before.
    ``around_cache`` is as there.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def copy_pixels(
        typing_context: Any, samples: Any, first: Any, backwards: Any, count: Any, channels: Any, affine: Any,
        affine_index: Any, out: Any, index: Any, plane: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, begin, reverse, size, depth, affine_array, first_factor, target, goal, plane_size = args
            pixels = pointer_to(context, builder, samples, source, begin)
            factors = pointer_to(context, builder, affine, affine_array, first_factor)
            rows = pointer_to(context, builder, out, target, goal)
            last = builder.sub(size, INT64(RUN))
            runs = builder.sdiv(builder.add(size, INT64(RUN - 1)), INT64(RUN))

            def copy(c: int, backwards: bool) -> None:
                order = range(RUN - 1, -1, -1) if backwards else range(RUN)
                factor, summand = (
                    [
                        splat(builder, builder.load(builder.gep(factors, [INT64(2 * channel + i)])), RUN)
                        for channel in range(c)
                    ]
                    for i in (0, 1)
                )
                with cgutils.for_range(builder, runs) as loop:
                    at = builder.mul(loop.index, INT64(RUN))
                    at = builder.select(builder.icmp_signed("<", at, last), at, last)
                    place = builder.mul(builder.sub(last, at) if backwards else at, INT64(c))
                    run = _samples(builder, builder.gep(pixels, [place]), samples.dtype, RUN * c)
                    for channel in range(c):
                        one = shuffle(builder, run, run, [i * c + channel for i in order])
                        value = _as_floats(builder, one, samples.dtype)
                        value = call(builder, "fma", value, factor[channel], summand[channel])
                        row = builder.gep(rows, [builder.add(at, builder.mul(plane_size, INT64(channel)))])
                        _put(builder, value, row, around_cache=around_cache)

            done = builder.append_basic_block("done")
            switch = builder.switch(depth, done)
            for c in range(1, MOST_SPREAD + 1):
                block = builder.append_basic_block("channels")
                switch.add_case(INT64(c), block)
                with builder.goto_block(block):
                    with builder.if_else(reverse) as (backward, forward):
                        with backward:
                            copy(c, True)
                        with forward:
                            copy(c, False)
                    builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        n = types.intp
        return types.void(samples, n, types.boolean, n, n, affine, n, out, n, n), generate

    return copy_pixels  # type: ignore[no-any-return]


copy_pixels, copy_pixels_around_cache = _copy_pixels(False), _copy_pixels(True)


def _copy(around_cache: bool) -> Callable[..., None]:
    """Make ``copy(values, first, out, index, count)``: ``out[index + i]`` becomes ``values[first + i]``.

    ``around_cache`` writes whole cache lines straight to memory, which spares reading them first.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def copy(typing_context: Any, values: Any, first: Any, out: Any, index: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value_array, begin, out_array, place, size = args
            source = pointer_to(context, builder, values, value_array, begin)
            target = pointer_to(context, builder, out, out_array, place)
            item = out.dtype.bitwidth // 8
            lanes = _LINE // item
            kind = ir.VectorType(context.get_data_type(out.dtype), lanes)
            head = size.type(0)
            if around_cache:  # to the next cache line
                address = builder.udiv(builder.ptrtoint(target, INT64), INT64(item))
                head = builder.and_(builder.sub(INT64(0), address), INT64(lanes - 1))
                head = builder.select(builder.icmp_signed("<", head, size), head, size)
            blocks = builder.sdiv(builder.sub(size, head), size.type(lanes))
            tail = builder.add(head, builder.mul(blocks, size.type(lanes)))

            def move(i: Any) -> None:
                builder.store(builder.load(builder.gep(source, [i])), builder.gep(target, [i]))

            with cgutils.for_range(builder, head) as loop:
                move(loop.index)
            with cgutils.for_range(builder, blocks) as loop:
                i = builder.add(head, builder.mul(loop.index, size.type(lanes)))
                value = builder.load(builder.bitcast(builder.gep(source, [i]), kind.as_pointer()), align=item)
                goal = builder.bitcast(builder.gep(target, [i]), kind.as_pointer())
                instruction = builder.store(value, goal, align=_LINE if around_cache else item)
                if around_cache:
                    instruction.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))
            with cgutils.for_range(builder, size, start=tail) as loop:
                move(loop.index)
            return context.get_dummy_value()

        n = types.intp
        return types.void(values, n, out, n, n), generate

    return copy  # type: ignore[no-any-return]


copy, copy_around_cache = _copy(False), _copy(True)
