"""The inner loops of warping, in portable LLVM vector IR.

``aim`` works on vectors of pixels, ``blend`` on the channels of one pixel, or of a few, ``stream`` on whatever lies
side by side. Pixels of few channels and those of whole cache lines are also for ``_warp_few`` and ``_warp_lines``.
Every function takes C-contiguous arrays and indices into their flattened form, and checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._vectors import BIT, FLOAT, INT32, INT64, call, integers, load, moved, pointer_to, reals, shuffle, splat, store

LANES = 16
OUTSIDE, UNKNOWN = (1 << LANES) - 1, 1 << LANES  # bits of what ``aim`` returns
FEATURES_DAMAGED, FLOW_DAMAGED, MINUEND_DAMAGED = 1, 2, 4  # bits of what is wrong with the input
MOST_PAIRED = 8  # channels; both neighbours of a row fit a vector
_GROUPS = {1: 8, 2: 4}  # pixels that are blended at a time, by channels
LARGE = 8 << 20  # bytes of a result that the last cache would not keep until somebody reads it
PADDING = 16  # floats that ``blend`` may write past its last pixel

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)


@intrinsic  # type: ignore[untyped-decorator]
def aim(
    typing_context: Any, flow: Any, index: Any, sign: Any, x: Any, y: Any, width: Any, height: Any, places: Any,
    right: Any, down: Any, first: Any,
) -> Any:  # fmt: skip
    """Find where 16 pixels from ``(x, y)`` on sample, with the flow ``sign * flow[index : index + 32]``.

    ``places[first + i]``, int32, is the pixel of the upper left of four neighbours; ``right[first + i]`` and
    ``down[first + i]``, float32, are how far the sample lies from there. At the last column and row, the upper left
    neighbour is one before, so that all are inside.

    Returns bits: one of ``OUTSIDE`` for every sample outside the image, whose place is 0, and ``UNKNOWN`` if the flow
    has NaN.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flow_array, i, factor, column, row, columns, rows, place_array, right_array, down_array, o = args
        source = pointer_to(context, builder, flow, flow_array, i)
        low, high = (load(builder, source, _VECTOR, offset) for offset in (0, LANES))
        zero, far = reals(0.0, LANES), reals(2.0**30, LANES)
        lanes = ir.Constant(_INT_VECTOR, list(range(LANES)))
        line = splat(builder, builder.trunc(columns, INT32), LANES)
        motions = [shuffle(builder, low, high, [2 * lane + axis for lane in range(LANES)]) for axis in (0, 1)]
        cells: list[Any] = []
        fractions, ends = [], []
        between = None
        for motion, start, size in zip(motions, (column, row), (columns, rows), strict=True):
            # Far outside is as good as anywhere outside, and NaN, which no comparison holds for, becomes that.
            steps = builder.fmul(motion, splat(builder, factor, LANES))
            steps = builder.select(builder.fcmp_ordered("<", steps, far), steps, far)
            steps = builder.select(builder.fcmp_ordered(">", steps, builder.fneg(far)), steps, builder.fneg(far))
            whole = call(builder, "floor", steps)
            fractions.append(builder.fsub(steps, whole))  # of the motion: exact far from the origin, too
            origin = splat(builder, builder.trunc(start, INT32), LANES)
            origin = builder.add(origin, lanes) if not cells else origin
            cells.append(builder.add(origin, builder.fptosi(whole, _INT_VECTOR)))
            ends.append(builder.sub(builder.trunc(size, INT32), INT32(1)))
            # what is negative is large without a sign
            here = builder.icmp_unsigned("<", cells[-1], splat(builder, ends[-1], LANES))
            between = here if between is None else builder.and_(between, here)

        def put(cells: list[Any], fractions: list[Any], inside: Any = None) -> None:
            place = builder.add(builder.mul(cells[1], line), cells[0])
            if inside is not None:
                place = builder.select(inside, place, integers(0, LANES))
            store(builder, place, pointer_to(context, builder, places, place_array, o))
            store(builder, fractions[0], pointer_to(context, builder, right, right_array, o))
            store(builder, fractions[1], pointer_to(context, builder, down, down_array, o))

        bits_type = ir.IntType(LANES)
        result = cgutils.alloca_once_value(builder, INT64(0))
        builder.store(INT64(0), result)
        all_between = builder.icmp_signed("==", builder.bitcast(between, bits_type), bits_type(-1))
        with builder.if_else(all_between, likely=True) as (usual, unusual):
            with usual:
                put(cells, fractions)
            with unusual:
                inside = None
                moved_cells, moved_fractions = [], []
                for cell, fraction, end in zip(cells, fractions, ends, strict=True):
                    # On the last pixel is inside, but not beyond it.
                    on_pixel = builder.fcmp_ordered("==", fraction, zero)
                    last = splat(builder, end, LANES)
                    on_last = builder.and_(on_pixel, builder.icmp_signed("==", cell, last))
                    here = builder.or_(on_last, builder.icmp_unsigned("<", cell, last))
                    inside = here if inside is None else builder.and_(inside, here)
                    more = builder.zext(builder.icmp_signed(">", end, INT32(0)), INT32)  # than one pixel
                    most = splat(builder, builder.sub(end, more), LANES)
                    moved_cells.append(builder.select(on_last, most, cell))
                    to_last = splat(builder, builder.uitofp(more, FLOAT), LANES)
                    moved_fractions.append(builder.select(on_last, to_last, fraction))
                put(moved_cells, moved_fractions, inside)
                outside = builder.zext(builder.bitcast(builder.not_(inside), bits_type), INT64)
                known = builder.bitcast(builder.fcmp_ordered("ord", *motions), bits_type)
                damaged = builder.zext(builder.icmp_signed("!=", known, bits_type(-1)), INT64)
                builder.store(builder.or_(outside, builder.shl(damaged, INT64(LANES))), result)
        return builder.load(result)

    n = types.intp
    return n(flow, n, types.float32, n, n, n, n, places, right, down, n), generate


def fetch_from(builder: Any, pointer: Any, offset: Any = 0) -> None:
    """Ask for the cache line ``offset`` elements past a pointer, into the second cache, and do not wait for it."""
    place = builder.bitcast(moved(builder, pointer, offset), cgutils.voidptr_t)
    function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [place, INT32(0), INT32(2), INT32(1)])


def mixed(builder: Any, a: Any, b: Any, fraction: Any) -> Any:
    """``(a - a * fraction) + b * fraction``: exactly ``a`` at 0 and ``b`` at 1."""
    return call(builder, "fmuladd", b, fraction, call(builder, "fmuladd", builder.fneg(fraction), a, a))


def _pairs_of_pixels(
    builder: Any, channels: int, right: Any, down: Any, upper: list[Any], below: Any, out: Any
) -> None:
    """Blend as many pixels of few channels as fit a vector: left and right neighbour lie side by side."""
    used, group = 2 * channels, len(upper)
    lanes = 1 << (used - 1).bit_length()  # of a pixel
    pair, fractions = ir.VectorType(FLOAT, lanes), ir.VectorType(FLOAT, group)
    half_pair = ir.VectorType(FLOAT, lanes // 2)
    beside = lanes - channels if used < lanes else channels  # the lane of the right neighbour

    def pixels(pointers: list[Any]) -> Any:
        parts = []
        for pointer in pointers:
            if used == lanes:
                parts.append(load(builder, pointer, pair))
            else:  # two halves that overlap, so that nothing is read behind the right neighbour
                parts += [load(builder, pointer, half_pair, offset) for offset in (0, used - lanes // 2)]
        while len(parts) > 1:
            both = list(range(2 * parts[0].type.count))
            parts = [shuffle(builder, parts[i], parts[i + 1], both) for i in range(0, len(parts), 2)]
        return parts[0]

    def spread(pointer: Any, copies: int) -> Any:
        values = load(builder, pointer, fractions)
        return shuffle(builder, values, values, [i for i in range(group) for _ in range(copies)])

    lower = [moved(builder, pointer, below) for pointer in upper]
    both = mixed(builder, pixels(upper), pixels(lower), spread(down, lanes))
    size, width = group * channels, both.type.count
    result_lanes = 1 << (size - 1).bit_length()
    nothing = ir.Constant(both.type, ir.Undefined)  # nobody needs what lies behind the channels of the last pixel

    def side(first: int) -> Any:
        lane_of = [i * lanes + first + c for i in range(group) for c in range(channels)]
        whole = shuffle(builder, both, nothing, lane_of + [width] * (width - size))
        return whole if width == result_lanes else shuffle(builder, whole, whole, list(range(result_lanes)))

    amounts = load(builder, right, fractions)
    amount = shuffle(builder, amounts, amounts, [min(lane // channels, group - 1) for lane in range(result_lanes)])
    store(builder, mixed(builder, side(0), side(beside), amount), out)


def weighted(builder: Any, values: list[Any], weights: list[Any]) -> Any:
    """Sum products of vectors, from 0 on, so that a sum of 0 has no sign."""
    total = reals(0.0, values[0].type.count)
    for value, weight in zip(values, weights, strict=True):
        total = call(builder, "fmuladd", value, weight, total)
    return total


def _many_channels(
    builder: Any, lanes: int, right: Any, down: Any, taps: list[Any], size: Any, ahead: Any, out: Any
) -> None:
    """Blend a pixel of any number of channels from ``lanes`` on; the last lanes overlap those before."""
    vector = ir.VectorType(FLOAT, lanes)
    a, b = builder.load(right), builder.load(down)
    left, up = (builder.fsub(FLOAT(1.0), fraction) for fraction in (a, b))
    splats = [splat(builder, builder.fmul(y, x), lanes) for y in (up, b) for x in (left, a)]
    last = builder.sub(size, INT64(lanes))
    blocks = builder.sdiv(builder.add(size, INT64(lanes - 1)), INT64(lanes))
    with cgutils.for_range(builder, blocks) as loop:
        channel = builder.mul(loop.index, INT64(lanes))
        channel = builder.select(builder.icmp_signed("<", channel, last), channel, last)
        values = [load(builder, moved(builder, tap, channel), vector) for tap in taps]
        store(builder, weighted(builder, values, splats), moved(builder, out, channel))
        fetch_from(builder, ahead, channel)


def blend_pixels(
    builder: Any, image: Any, place_pointer: Any, right_pointer: Any, down_pointer: Any, pixels: Any, beside: Any,
    under: Any, size: Any, ahead: Any, result: Any,
) -> None:  # fmt: skip
    """Blend pixels one by one, or as many as fit a vector: ``blend`` with pointers."""
    done = builder.append_basic_block("done")
    paired = builder.icmp_signed("!=", beside, beside.type(0))
    lanes = size.type(1)
    for power in (2, 4, 8, 16):
        lanes = builder.select(builder.icmp_signed(">=", size, size.type(power)), size.type(power), lanes)
    many = builder.sub(size.type(0), lanes)
    few = builder.select(builder.icmp_signed("<=", size, size.type(MOST_PAIRED)), size, many)
    switch = builder.switch(builder.select(paired, few, many), done)
    for variant in (*range(1, MOST_PAIRED + 1), -1, -2, -4, -8, -16):
        block = builder.append_basic_block("paired" if variant > 0 else "many")
        switch.add_case(size.type(variant), block)
        group = _GROUPS.get(variant, 1)
        step = size.type(variant) if variant > 0 else size  # with the channels known, the product is cheap
        with builder.goto_block(block):
            groups = builder.sdiv(builder.add(pixels, pixels.type(group - 1)), pixels.type(group))
            with cgutils.for_range(builder, groups) as loop:
                pixel = builder.mul(loop.index, pixels.type(group))
                upper = []
                for k in range(group):
                    at = builder.add(pixel, pixel.type(k))
                    place = builder.sext(builder.load(moved(builder, place_pointer, at)), INT64)
                    upper.append(moved(builder, image, builder.mul(place, step)))
                a, b = moved(builder, right_pointer, pixel), moved(builder, down_pointer, pixel)
                goal = moved(builder, result, builder.mul(pixel, step))
                if variant > 0:
                    _pairs_of_pixels(builder, variant, a, b, upper, under, goal)
                else:
                    lower = moved(builder, upper[0], under)
                    taps = [upper[0], moved(builder, upper[0], beside), lower, moved(builder, lower, beside)]
                    _many_channels(builder, -variant, a, b, taps, size, moved(builder, ahead, pixel, step), goal)
            builder.branch(done)
    builder.position_at_end(done)


@intrinsic  # type: ignore[untyped-decorator]
def blend(
    typing_context: Any, features: Any, index: Any, places: Any, right: Any, down: Any, count: Any,
    to_right: Any, below: Any, channels: Any, ahead: Any, out: Any,
) -> Any:  # fmt: skip
    """Blend the features of ``count`` pixels of a row into ``out``, which has ``PADDING`` more.

    The image begins at ``features[index]``; ``places``, ``right`` and ``down`` are those of ``aim``; ``to_right`` and
    ``below`` are the distances to the next pixel and the next row, or 0 if there is none. Of many channels, memory is
    asked for ``features[ahead:]``, as much as is blended.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, i, place_array, right_array, down_array, pixels, beside, under, size, on, target = args
        blend_pixels(
            builder,
            pointer_to(context, builder, features, source, i),
            pointer_to(context, builder, places, place_array, INT64(0)),
            pointer_to(context, builder, right, right_array, INT64(0)),
            pointer_to(context, builder, down, down_array, INT64(0)),
            pixels, beside, under, size,
            pointer_to(context, builder, features, source, on),
            pointer_to(context, builder, out, target, INT64(0)),
        )  # fmt: skip
        return context.get_dummy_value()

    n = types.intp
    return types.void(features, n, places, right, down, n, n, n, n, n, out), generate


@intrinsic  # type: ignore[untyped-decorator]
def finite(typing_context: Any, samples: Any, index: Any, count: Any) -> Any:
    """Whether ``samples[index : index + count]``, float32, holds neither NaN nor infinity."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, size = args
        source = pointer_to(context, builder, samples, array, first)
        address = builder.udiv(builder.ptrtoint(source, INT64), INT64(4))
        start = builder.and_(builder.sub(INT64(0), address), INT64(LANES - 1))  # of the next cache line
        start = builder.select(builder.icmp_signed("<", start, size), start, size)
        good = BIT(1)
        position = cgutils.alloca_once(builder, INT64)
        builder.store(INT64(0), position)
        for lanes, end in ((1, start), (4 * LANES, size), (LANES, size), (1, size)):
            kind = ir.VectorType(FLOAT, lanes)
            total = cgutils.alloca_once(builder, kind)
            builder.store(reals(0.0, lanes), total)  # stays 0, as 0 times a number is, but not 0 times NaN or infinity
            begin = builder.load(position)
            blocks = builder.sdiv(builder.sub(end, begin), INT64(lanes))
            with cgutils.for_range(builder, blocks) as loop:
                at = builder.add(begin, builder.mul(loop.index, INT64(lanes)))
                values = load(builder, moved(builder, source, at), kind)
                builder.store(call(builder, "fmuladd", values, reals(0.0, lanes), builder.load(total)), total)
            builder.store(builder.add(begin, builder.mul(blocks, INT64(lanes))), position)
            bits_type = ir.IntType(lanes)
            zeros = builder.bitcast(builder.fcmp_ordered("==", builder.load(total), reals(0.0, lanes)), bits_type)
            good = builder.and_(good, builder.icmp_signed("==", zeros, bits_type(-1)))
        return good

    return types.boolean(samples, types.intp, types.intp), generate


def _stream(subtract: bool, around_cache: bool) -> Callable[..., int]:
    """Make ``stream(values, value_index, minuend, ahead, out, index, count)``.

    ``out[index + i]`` becomes ``values[value_index + i]``, or ``minuend[index + i]`` less that. ``around_cache`` writes
    whole cache lines straight to memory, which spares reading them first. Memory is asked for as much of
    ``minuend[index + ahead:]``. Returns ``MINUEND_DAMAGED`` if that is not finite, else 0.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def stream(
        typing_context: Any, values: Any, value_index: Any, minuend: Any, ahead: Any, out: Any, index: Any, count: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value_array, begin, minuend_array, on, out_array, first, size = args
            source = pointer_to(context, builder, values, value_array, begin)
            other = pointer_to(context, builder, minuend, minuend_array, first)
            target = pointer_to(context, builder, out, out_array, first)
            head = size.type(0)
            if around_cache:  # to the next cache line
                address = builder.udiv(builder.ptrtoint(target, INT64), INT64(4))
                head = builder.and_(builder.sub(INT64(0), address), INT64(LANES - 1))
                head = builder.select(builder.icmp_signed("<", head, size), head, size)
            blocks = builder.sdiv(builder.sub(size, head), size.type(LANES))
            tail = builder.add(head, builder.mul(blocks, size.type(LANES)))

            checked = cgutils.alloca_once(builder, _VECTOR)  # stays 0 as in ``finite``; floats count in the first lane
            builder.store(reals(0.0, LANES), checked)

            def move(i: Any, kind: Any, hint: bool) -> None:
                value = load(builder, moved(builder, source, i), kind)
                if subtract:
                    whole = load(builder, moved(builder, other, i), kind)
                    value = builder.fsub(whole, value)
                    if kind is FLOAT:
                        whole = builder.insert_element(reals(0.0, LANES), whole, INT32(0))
                    total = call(builder, "fmuladd", whole, reals(0.0, LANES), builder.load(checked))
                    builder.store(total, checked)
                place = builder.bitcast(moved(builder, target, i), kind.as_pointer())
                instruction = builder.store(value, place, align=64 if hint else 4)
                if hint:
                    instruction.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))

            with cgutils.for_range(builder, head) as loop:
                move(loop.index, FLOAT, False)
            with cgutils.for_range(builder, blocks) as loop:
                start = builder.add(head, builder.mul(loop.index, size.type(LANES)))
                move(start, _VECTOR, around_cache)
                if subtract:
                    fetch_from(builder, other, builder.add(start, on))
            with cgutils.for_range(builder, size, start=tail) as loop:
                move(loop.index, FLOAT, False)
            bits_type = ir.IntType(LANES)
            zeros = builder.bitcast(builder.fcmp_ordered("==", builder.load(checked), reals(0.0, LANES)), bits_type)
            fine = builder.icmp_signed("==", zeros, bits_type(-1))
            return builder.select(fine, INT64(0), INT64(MINUEND_DAMAGED))

        n = types.intp
        return n(values, n, minuend, n, out, n, n), generate

    return stream  # type: ignore[no-any-return]


copy, copy_around_cache = _stream(False, False), _stream(False, True)
subtract, subtract_around_cache = _stream(True, False), _stream(True, True)
