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

from ._simd import _pointer

LANES = 16
MOST_PAIRED = 8  # channels; both neighbours of a row fit a vector
LARGE = 8 << 20  # bytes of a result that the last cache would not keep until somebody reads it
PADDING = 16  # floats that ``blend`` may write past its last pixel

_BIT, _INT32, _INT64, _FLOAT32 = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType()
_VECTOR, _INT_VECTOR = ir.VectorType(_FLOAT32, LANES), ir.VectorType(_INT32, LANES)
_INFINITY = 0xFF000000  # its bits, shifted left by one: those of numbers are less, those of NaN more


def _at(builder: Any, pointer: Any, *indices: Any) -> Any:
    """Return ``pointer`` plus all indices; Python integers are welcome."""
    for index in indices:
        pointer = builder.gep(pointer, [_INT64(index) if isinstance(index, int) else index])
    return pointer


def _load(builder: Any, pointer: Any, kind: Any = _VECTOR) -> Any:
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=4)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=4)


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes))


def _splat(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    return _shuffle(builder, builder.insert_element(undefined, scalar, _INT32(0)), undefined, [0] * lanes)


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of floats."""
    vector = args[0].type
    function_type = ir.FunctionType(vector, [vector] * len(args))
    full_name = f"llvm.{name}.v{vector.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), args)


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
        source = _pointer(context, builder, flow, flow_array, i)
        low, high = _load(builder, source), _load(builder, _at(builder, source, LANES))
        one, zero = ir.Constant(_VECTOR, [1.0] * LANES), ir.Constant(_VECTOR, [0.0] * LANES)
        lanes = ir.Constant(_INT_VECTOR, list(range(LANES)))
        far = ir.Constant(_VECTOR, [2.0**30] * LANES)
        inside = None
        cells, fractions = [], []
        motions = [_shuffle(builder, low, high, [2 * lane + axis for lane in range(LANES)]) for axis in (0, 1)]
        known = builder.fcmp_ordered("ord", *motions)
        for axis, start, size in ((0, column, columns), (1, row, rows)):
            # Far outside is as good as anywhere outside, and NaN, which no comparison holds for, becomes that.
            motion = builder.fmul(motions[axis], _splat(builder, factor))
            motion = builder.select(builder.fcmp_ordered("<", motion, far), motion, far)
            motion = builder.select(builder.fcmp_ordered(">", motion, builder.fneg(far)), motion, builder.fneg(far))
            steps = _call(builder, "floor", motion)
            fraction = builder.fsub(motion, steps)  # of the motion, not of the place: it is exact far from the origin
            cell = builder.add(_splat(builder, builder.trunc(start, _INT32)), builder.fptosi(steps, _INT_VECTOR))
            if axis == 0:
                cell = builder.add(cell, lanes)
            last = builder.sub(size, size.type(1))
            before_last = builder.sub(last, builder.zext(builder.icmp_signed(">", last, last.type(0)), _INT64))
            end, most = (_splat(builder, builder.trunc(place, _INT32)) for place in (last, before_last))
            at_end = builder.and_(builder.icmp_signed("==", cell, end), builder.fcmp_ordered("==", fraction, zero))
            here = builder.or_(builder.icmp_unsigned("<", cell, end), at_end)
            beyond = builder.icmp_signed(">", cell, most)
            fractions.append(builder.select(beyond, one, fraction))
            cells.append(
                builder.select(here, builder.select(beyond, most, cell), ir.Constant(_INT_VECTOR, [0] * LANES))
            )
            inside = here if inside is None else builder.and_(inside, here)
        line = _splat(builder, builder.trunc(columns, _INT32))
        place = builder.add(builder.mul(cells[1], line), cells[0])
        _store(builder, place, _pointer(context, builder, places, place_array, o))
        a, b = fractions
        lower = builder.select(inside, b, zero)
        upper = builder.select(inside, builder.fsub(one, b), zero)
        left = builder.fsub(one, a)
        four = [builder.fmul(upper, left), builder.fmul(upper, a), builder.fmul(lower, left), builder.fmul(lower, a)]
        target = _pointer(context, builder, weights, weight_array, builder.mul(o, o.type(4)))
        pairs = [n for lane in range(LANES) for n in (lane, lane + LANES)]
        uppers, lowers = (
            [_shuffle(builder, two[0], two[1], pairs[half : half + LANES]) for half in (0, LANES)]
            for two in (four[:2], four[2:])
        )
        quads = [n for lane in range(0, LANES, 2) for n in (lane, lane + 1, lane + LANES, lane + LANES + 1)]
        for i in range(4):
            part = _shuffle(builder, uppers[i // 2], lowers[i // 2], quads[i % 2 * LANES : (i % 2 + 1) * LANES])
            _store(builder, part, _at(builder, target, i * LANES))
        bits = builder.bitcast(known, ir.IntType(LANES))
        return builder.icmp_signed("==", bits, bits.type(-1))

    n = types.intp
    return types.boolean(flow, n, types.float32, n, n, n, n, places, weights, n), generate


def _pair_of_pixels(builder: Any, channels: int, weights: Any, upper: Any, lower: Any, out: Any) -> None:
    """Blend a pixel of few channels: left and right neighbour are one vector."""
    lanes = 1 << (2 * channels - 1).bit_length()
    vector, used = ir.VectorType(_FLOAT32, lanes), 2 * channels
    quad = _load(builder, weights, ir.VectorType(_FLOAT32, 4))
    total = None
    for row, pointer in ((0, upper), (1, lower)):
        if used == lanes:
            pixels = _load(builder, pointer, vector)
        else:
            function_type = ir.FunctionType(vector, [vector.as_pointer(), _INT32, ir.VectorType(_BIT, lanes), vector])
            name = f"llvm.masked.load.v{lanes}f32.p0"
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            mask = ir.Constant(ir.VectorType(_BIT, lanes), [lane < used for lane in range(lanes)])
            place = builder.bitcast(pointer, vector.as_pointer())
            pixels = builder.call(function, [place, _INT32(4), mask, ir.Constant(vector, [0.0] * lanes)])
        weight = _shuffle(builder, quad, quad, [2 * row + min(lane // channels, 1) for lane in range(lanes)])
        total = builder.fmul(pixels, weight) if total is None else _call(builder, "fmuladd", pixels, weight, total)
    half = lanes // 2
    left = _shuffle(builder, total, total, list(range(half)))
    right = _shuffle(builder, total, total, [min(channels + lane, lanes - 1) for lane in range(half)])
    _store(builder, builder.fadd(left, right), out)


def _many_channels(builder: Any, lanes: int, weights: Any, taps: list[Any], size: Any, out: Any) -> None:
    """Blend a pixel of any number of channels from ``lanes`` on; the last lanes overlap those before."""
    vector = ir.VectorType(_FLOAT32, lanes)
    splats = [_splat(builder, builder.load(_at(builder, weights, i)), lanes) for i in range(4)]
    last = builder.sub(size, _INT64(lanes))
    blocks = builder.sdiv(builder.add(size, _INT64(lanes - 1)), _INT64(lanes))
    with cgutils.for_range(builder, blocks) as loop:
        channel = builder.mul(loop.index, _INT64(lanes))
        channel = builder.select(builder.icmp_signed("<", channel, last), channel, last)
        total = None
        for tap, weight in zip(taps, splats, strict=True):
            value = _load(builder, _at(builder, tap, channel), vector)
            total = builder.fmul(value, weight) if total is None else _call(builder, "fmuladd", value, weight, total)
        _store(builder, total, _at(builder, out, channel))


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
        image = _pointer(context, builder, features, source, i)
        place_pointer = _pointer(context, builder, places, place_array, begin)
        weight_pointer = _pointer(context, builder, weights, weight_array, builder.mul(begin, begin.type(4)))
        result = _pointer(context, builder, out, target, begin.type(0))
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
                    place = builder.sext(builder.load(_at(builder, place_pointer, loop.index)), _INT64)
                    # with the channels known, the product is cheap
                    step = size.type(variant) if variant > 0 else size
                    upper = _at(builder, image, builder.mul(place, step))
                    lower = _at(builder, upper, to_below)
                    weight = _at(builder, weight_pointer, builder.mul(loop.index, _INT64(4)))
                    pixel = _at(builder, result, builder.mul(loop.index, step))
                    if variant > 0:
                        _pair_of_pixels(builder, variant, weight, upper, lower, pixel)
                    else:
                        taps = [upper, _at(builder, upper, to_right), lower, _at(builder, lower, to_right)]
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
        source = builder.bitcast(_pointer(context, builder, samples, array, first), _INT32.as_pointer())
        width = 4 * LANES
        vector = ir.VectorType(_INT32, width)
        largest, tail = cgutils.alloca_once(builder, vector), cgutils.alloca_once(builder, _INT32)
        builder.store(ir.Constant(vector, [0] * width), largest)
        builder.store(_INT32(0), tail)

        def keep(place: Any, value: Any) -> None:
            doubled, before = builder.add(value, value), builder.load(place)  # without the sign
            builder.store(builder.select(builder.icmp_unsigned(">", doubled, before), doubled, before), place)

        blocks = builder.sdiv(size, size.type(width))
        whole = builder.mul(blocks, size.type(width))
        with cgutils.for_range(builder, blocks) as loop:
            keep(largest, _load(builder, _at(builder, source, builder.mul(loop.index, size.type(width))), vector))
        with cgutils.for_range(builder, size, start=whole) as loop:
            keep(tail, builder.load(_at(builder, source, loop.index)))
        lanes_fine = builder.icmp_unsigned("<", builder.load(largest), ir.Constant(vector, [_INFINITY] * width))
        bits = builder.bitcast(lanes_fine, ir.IntType(width))
        return builder.and_(
            builder.icmp_signed("==", bits, bits.type(-1)),
            builder.icmp_unsigned("<", builder.load(tail), _INT32(_INFINITY)),
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
            source = _pointer(context, builder, values, value_array, first.type(0))
            other = _pointer(context, builder, minuend, minuend_array, first)
            target = _pointer(context, builder, out, out_array, first)
            head = size.type(0)
            if around_cache:  # to the next cache line
                address = builder.udiv(builder.ptrtoint(target, _INT64), _INT64(4))
                head = builder.and_(builder.sub(_INT64(0), address), _INT64(LANES - 1))
                head = builder.select(builder.icmp_signed("<", head, size), head, size)
            blocks = builder.sdiv(builder.sub(size, head), size.type(LANES))
            tail = builder.add(head, builder.mul(blocks, size.type(LANES)))

            def move(i: Any, kind: Any, hint: bool) -> None:
                value = _load(builder, _at(builder, source, i), kind)
                if subtract:
                    value = builder.fsub(_load(builder, _at(builder, other, i), kind), value)
                place = builder.bitcast(_at(builder, target, i), kind.as_pointer())
                store = builder.store(value, place, align=64 if hint else 4)
                if hint:
                    store.set_metadata("nontemporal", builder.module.add_metadata([_INT32(1)]))

            with cgutils.for_range(builder, head) as loop:
                move(loop.index, _FLOAT32, False)
            with cgutils.for_range(builder, blocks) as loop:
                start = builder.add(head, builder.mul(loop.index, size.type(LANES)))
                move(start, _VECTOR, around_cache)
            with cgutils.for_range(builder, size, start=tail) as loop:
                move(loop.index, _FLOAT32, False)
            return context.get_dummy_value()

        n = types.intp
        return types.void(values, minuend, out, n, n), generate

    return stream  # type: ignore[no-any-return]


copy, copy_around_cache = _stream(False, False), _stream(False, True)
subtract, subtract_around_cache = _stream(True, False), _stream(True, True)
