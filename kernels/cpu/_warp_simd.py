"""The inner loops of warping, in portable LLVM vector IR.

``aim`` works on vectors of pixels, ``blend`` on the channels of one pixel, ``stream`` on whatever lies side by side.
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
MOST_PAIRED = 8  # channels; both neighbours of a row fit a vector
LARGE = 8 << 20  # bytes of a result that the last cache would not keep until somebody reads it
PADDING = 16  # floats that ``blend`` may write past its last pixel

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
_INFINITY = 0xFF000000  # its bits, shifted left by one: those of numbers are less, those of NaN more


@intrinsic  # type: ignore[untyped-decorator]
def aim(
    typing_context: Any, flow: Any, index: Any, sign: Any, x: Any, y: Any, width: Any, height: Any, places: Any,
    weights: Any, first: Any,
) -> Any:  # fmt: skip
    """Find where 16 pixels from ``(x, y)`` on sample, with the flow ``sign * flow[index : index + 32]``.

    ``places[first + i]``, int32, is the pixel of the upper left of four neighbours, and ``weights[4 * (first + i):]``
    are the weights of upper left, upper right, lower left and lower right: 0 where the sample lies outside the image.
    At the last column and row, the upper left neighbour is one before and has no weight, so that all are inside.
    Returns whether the flow has no NaN.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flow_array, i, factor, column, row, columns, rows, place_array, weight_array, o = args
        source = pointer_to(context, builder, flow, flow_array, i)
        low, high = (load(builder, source, _VECTOR, offset) for offset in (0, LANES))
        one, zero = reals(1.0, LANES), reals(0.0, LANES)
        lanes = ir.Constant(_INT_VECTOR, list(range(LANES)))
        far = reals(2.0**30, LANES)
        inside = None
        cells, fractions = [], []
        motions = [shuffle(builder, low, high, [2 * lane + axis for lane in range(LANES)]) for axis in (0, 1)]
        known = builder.fcmp_ordered("ord", *motions)
        for axis, start, size in ((0, column, columns), (1, row, rows)):
            # Far outside is as good as anywhere outside, and NaN, which no comparison holds for, becomes that.
            motion = builder.fmul(motions[axis], splat(builder, factor, LANES))
            motion = builder.select(builder.fcmp_ordered("<", motion, far), motion, far)
            motion = builder.select(builder.fcmp_ordered(">", motion, builder.fneg(far)), motion, builder.fneg(far))
            steps = call(builder, "floor", motion)
            fraction = builder.fsub(motion, steps)  # of the motion, not of the place: it is exact far from the origin
            origin = splat(builder, builder.trunc(start, INT32), LANES)
            origin = builder.add(origin, lanes) if axis == 0 else origin
            cell = builder.add(origin, builder.fptosi(steps, _INT_VECTOR))
            last = builder.sub(size, size.type(1))
            before_last = builder.sub(last, builder.zext(builder.icmp_signed(">", last, last.type(0)), INT64))
            most, end, behind = (
                splat(builder, builder.trunc(place, INT32), LANES) for place in (before_last, last, size)
            )
            # Between two pixels, or on a pixel; what is negative is large without a sign.
            limit = builder.select(builder.fcmp_ordered("==", fraction, zero), behind, end)
            here = builder.icmp_unsigned("<", cell, limit)
            beyond = builder.icmp_signed(">", cell, most)
            fractions.append(builder.select(beyond, one, fraction))
            cells.append(builder.select(beyond, most, cell))
            inside = here if inside is None else builder.and_(inside, here)
        line = splat(builder, builder.trunc(columns, INT32), LANES)
        place = builder.add(builder.mul(cells[1], line), cells[0])
        place = builder.select(inside, place, integers(0, LANES))
        store(builder, place, pointer_to(context, builder, places, place_array, o))
        a, b = fractions
        lower = builder.select(inside, b, zero)
        upper = builder.select(inside, builder.fsub(one, b), zero)
        left = builder.fsub(one, a)
        four = [builder.fmul(upper, left), builder.fmul(upper, a), builder.fmul(lower, left), builder.fmul(lower, a)]
        target = pointer_to(context, builder, weights, weight_array, builder.mul(o, o.type(4)))
        pairs = [n for lane in range(LANES) for n in (lane, lane + LANES)]
        uppers, lowers = (
            [shuffle(builder, two[0], two[1], pairs[half : half + LANES]) for half in (0, LANES)]
            for two in (four[:2], four[2:])
        )
        quads = [n for lane in range(0, LANES, 2) for n in (lane, lane + 1, lane + LANES, lane + LANES + 1)]
        for i in range(4):
            part = shuffle(builder, uppers[i // 2], lowers[i // 2], quads[i % 2 * LANES : (i % 2 + 1) * LANES])
            store(builder, part, target, i * LANES)
        bits = builder.bitcast(known, ir.IntType(LANES))
        return builder.icmp_signed("==", bits, bits.type(-1))

    n = types.intp
    return types.boolean(flow, n, types.float32, n, n, n, n, places, weights, n), generate


def _pair_of_pixels(builder: Any, channels: int, weights: Any, upper: Any, lower: Any, out: Any) -> None:
    """Blend a pixel of few channels: left and right neighbour are one vector."""
    lanes = 1 << (2 * channels - 1).bit_length()
    vector, used = ir.VectorType(FLOAT, lanes), 2 * channels
    quad = load(builder, weights, ir.VectorType(FLOAT, 4))
    total = None
    for row, pointer in ((0, upper), (1, lower)):
        if used == lanes:
            pixels = load(builder, pointer, vector)
        else:
            function_type = ir.FunctionType(vector, [vector.as_pointer(), INT32, ir.VectorType(BIT, lanes), vector])
            name = f"llvm.masked.load.v{lanes}f32.p0"
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            mask = ir.Constant(ir.VectorType(BIT, lanes), [lane < used for lane in range(lanes)])
            place = builder.bitcast(pointer, vector.as_pointer())
            pixels = builder.call(function, [place, INT32(4), mask, reals(0.0, lanes)])
        weight = shuffle(builder, quad, quad, [2 * row + min(lane // channels, 1) for lane in range(lanes)])
        total = builder.fmul(pixels, weight) if total is None else call(builder, "fmuladd", pixels, weight, total)
    half = lanes // 2
    left = shuffle(builder, total, total, list(range(half)))
    right = shuffle(builder, total, total, [min(channels + lane, lanes - 1) for lane in range(half)])
    store(builder, builder.fadd(left, right), out)


def _many_channels(builder: Any, lanes: int, weights: Any, taps: list[Any], size: Any, out: Any) -> None:
    """Blend a pixel of any number of channels from ``lanes`` on; the last lanes overlap those before."""
    vector = ir.VectorType(FLOAT, lanes)
    splats = [splat(builder, builder.load(moved(builder, weights, i)), lanes) for i in range(4)]
    last = builder.sub(size, INT64(lanes))
    blocks = builder.sdiv(builder.add(size, INT64(lanes - 1)), INT64(lanes))
    with cgutils.for_range(builder, blocks) as loop:
        channel = builder.mul(loop.index, INT64(lanes))
        channel = builder.select(builder.icmp_signed("<", channel, last), channel, last)
        total = None
        for tap, weight in zip(taps, splats, strict=True):
            value = load(builder, moved(builder, tap, channel), vector)
            total = builder.fmul(value, weight) if total is None else call(builder, "fmuladd", value, weight, total)
        store(builder, total, moved(builder, out, channel))


@intrinsic  # type: ignore[untyped-decorator]
def blend(
    typing_context: Any, features: Any, index: Any, places: Any, weights: Any, first: Any, count: Any, right: Any,
    below: Any, channels: Any, out: Any,
) -> Any:  # fmt: skip
    """Blend the features of pixels ``first`` to ``first + count`` of an image into ``out``.

    The image begins at ``features[index]``; ``places`` and ``weights`` are those of ``aim``; ``right`` and ``below``
    are the distances to the next pixel and the next row, or 0 if there is none.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, i, place_array, weight_array, begin, pixels, to_right, to_below, size, target = args
        image = pointer_to(context, builder, features, source, i)
        place_pointer = pointer_to(context, builder, places, place_array, begin)
        weight_pointer = pointer_to(context, builder, weights, weight_array, builder.mul(begin, begin.type(4)))
        result = pointer_to(context, builder, out, target, begin.type(0))
        done = builder.append_basic_block("done")
        paired = builder.icmp_signed("!=", to_right, to_right.type(0))
        lanes = size.type(1)
        for power in (2, 4, 8, 16):
            lanes = builder.select(builder.icmp_signed(">=", size, size.type(power)), size.type(power), lanes)
        many = builder.sub(size.type(0), lanes)
        few = builder.select(builder.icmp_signed("<=", size, size.type(MOST_PAIRED)), size, many)
        switch = builder.switch(builder.select(paired, few, many), done)
        for variant in (*range(1, MOST_PAIRED + 1), -1, -2, -4, -8, -16):
            block = builder.append_basic_block("paired" if variant > 0 else "many")
            switch.add_case(size.type(variant), block)
            with builder.goto_block(block):
                with cgutils.for_range(builder, pixels) as loop:
                    place = builder.sext(builder.load(moved(builder, place_pointer, loop.index)), INT64)
                    # with the channels known, the product is cheap
                    step = size.type(variant) if variant > 0 else size
                    upper = moved(builder, image, builder.mul(place, step))
                    lower = moved(builder, upper, to_below)
                    weight = moved(builder, weight_pointer, builder.mul(loop.index, INT64(4)))
                    pixel = moved(builder, result, builder.mul(loop.index, step))
                    if variant > 0:
                        _pair_of_pixels(builder, variant, weight, upper, lower, pixel)
                    else:
                        taps = [upper, moved(builder, upper, to_right), lower, moved(builder, lower, to_right)]
                        _many_channels(builder, -variant, weight, taps, size, pixel)
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    n = types.intp
    return types.void(features, n, places, weights, n, n, n, n, n, out), generate


@intrinsic  # type: ignore[untyped-decorator]
def finite(typing_context: Any, samples: Any, index: Any, count: Any) -> Any:
    """Whether ``samples[index : index + count]``, float32, holds neither NaN nor infinity."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, size = args
        source = builder.bitcast(pointer_to(context, builder, samples, array, first), INT32.as_pointer())
        width = 4 * LANES
        vector = ir.VectorType(INT32, width)
        largest, tail = cgutils.alloca_once(builder, vector), cgutils.alloca_once(builder, INT32)
        builder.store(ir.Constant(vector, [0] * width), largest)
        builder.store(INT32(0), tail)

        def keep(place: Any, value: Any) -> None:
            doubled, before = builder.add(value, value), builder.load(place)  # without the sign
            builder.store(builder.select(builder.icmp_unsigned(">", doubled, before), doubled, before), place)

        blocks = builder.sdiv(size, size.type(width))
        whole = builder.mul(blocks, size.type(width))
        with cgutils.for_range(builder, blocks) as loop:
            keep(largest, load(builder, moved(builder, source, builder.mul(loop.index, size.type(width))), vector))
        with cgutils.for_range(builder, size, start=whole) as loop:
            keep(tail, builder.load(moved(builder, source, loop.index)))
        lanes_fine = builder.icmp_unsigned("<", builder.load(largest), ir.Constant(vector, [_INFINITY] * width))
        bits = builder.bitcast(lanes_fine, ir.IntType(width))
        return builder.and_(
            builder.icmp_signed("==", bits, bits.type(-1)),
            builder.icmp_unsigned("<", builder.load(tail), INT32(_INFINITY)),
        )

    return types.boolean(samples, types.intp, types.intp), generate


def _stream(subtract: bool, around_cache: bool) -> Callable[..., None]:
    """Make ``stream(values, minuend, out, index, count)``.

    ``out[index + i]`` becomes ``values[i]``, or ``minuend[index + i] - values[i]``. ``around_cache`` writes whole
    cache lines straight to memory, which spares reading them first.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def stream(typing_context: Any, values: Any, minuend: Any, out: Any, index: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value_array, minuend_array, out_array, first, size = args
            source = pointer_to(context, builder, values, value_array, first.type(0))
            other = pointer_to(context, builder, minuend, minuend_array, first)
            target = pointer_to(context, builder, out, out_array, first)
            head = size.type(0)
            if around_cache:  # to the next cache line
                address = builder.udiv(builder.ptrtoint(target, INT64), INT64(4))
                head = builder.and_(builder.sub(INT64(0), address), INT64(LANES - 1))
                head = builder.select(builder.icmp_signed("<", head, size), head, size)
            blocks = builder.sdiv(builder.sub(size, head), size.type(LANES))
            tail = builder.add(head, builder.mul(blocks, size.type(LANES)))

            def move(i: Any, kind: Any, hint: bool) -> None:
                value = load(builder, moved(builder, source, i), kind)
                if subtract:
                    value = builder.fsub(load(builder, moved(builder, other, i), kind), value)
                place = builder.bitcast(moved(builder, target, i), kind.as_pointer())
                instruction = builder.store(value, place, align=64 if hint else 4)
                if hint:
                    instruction.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))

            with cgutils.for_range(builder, head) as loop:
                move(loop.index, FLOAT, False)
            with cgutils.for_range(builder, blocks) as loop:
                start = builder.add(head, builder.mul(loop.index, size.type(LANES)))
                move(start, _VECTOR, around_cache)
            with cgutils.for_range(builder, size, start=tail) as loop:
                move(loop.index, FLOAT, False)
            return context.get_dummy_value()

        n = types.intp
        return types.void(values, minuend, out, n, n), generate

    return stream  # type: ignore[no-any-return]


copy, copy_around_cache = _stream(False, False), _stream(False, True)
subtract, subtract_around_cache = _stream(True, False), _stream(True, True)
