"""Warping of few channels: everything about 16 pixels at a time, in portable LLVM vector IR.

As memory lies, the pixels of a batch are one line, and where a pixel samples is so many pixels on from itself: its
*move*. Where motion is smooth, neighbours have one move, or few. Pixels of one move are blended as what they are in
memory, floats side by side; of two moves in a vector, both are loaded and the lanes chosen; what is left is blended
pixel by pixel. All three compute the same, to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._vectors import FLOAT, INT32, INT64, call, integers, load, moved, pointer_to, reals, shuffle, splat, store
from ._warp_simd import FEATURES_DAMAGED, FLOW_DAMAGED, LANES, MOST_PAIRED, blend_pixels, fetch_from, mixed

LONGEST_FEW = 1 << 24  # columns or rows: floats count no further

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
_BITS = ir.IntType(LANES)
_OUTSIDE = -(2**31)  # the move of a pixel that samples outside
_FURTHEST = 1 << 30  # of moves that are tried


@intrinsic  # type: ignore[untyped-decorator]
def warp_few(
    typing_context: Any, features: Any, flow: Any, sign: Any, places: Any, first: Any, count: Any, height: Any,
    width: Any, channels: Any, ahead: Any, out: Any, out_index: Any,
) -> Any:  # fmt: skip
    """Warp pixels ``first`` to ``first + count`` of a batch, by ``sign * flow``, into ``out[out_index:]``.

    ``count`` is a multiple of 16, ``channels`` at most ``MOST_PAIRED``, and the batch has at least 32 pixels more than
    a row. ``places[:16]`` and ``places[16:]``, float32, are columns and rows of the first 16 pixels, and afterwards of
    the first 16 behind. Memory is asked for what is needed ``ahead`` pixels on.

    Returns bits: ``FEATURES_DAMAGED`` if one of these pixels is not finite, and ``FLOW_DAMAGED`` if there is
    NaN in the flow.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        feature_array, flow_array, factor, place_array, begin, pixels, rows, columns, size, on, target, o = args
        source = pointer_to(context, builder, features, feature_array, INT64(0))
        length = context.make_array(features)(context, builder, feature_array).nitems
        motion_source = pointer_to(context, builder, flow, flow_array, INT64(0))
        place = pointer_to(context, builder, places, place_array, INT64(0))
        result = pointer_to(context, builder, out, target, o)
        grid = _Grid(builder, rows, columns, place)
        below = builder.mul(columns, size)
        signs = splat(builder, factor, LANES)
        # Of a move that is tried, all that vectors load must be in the array: 16 pixels, right neighbours and lower.
        room = builder.sub(builder.sdiv(builder.sub(length, below), size), INT64(2 * LANES))
        checked = cgutils.alloca_once(builder, _VECTOR)  # stays 0, as 0 times a number is, but not 0 times NaN
        unknown = cgutils.alloca_once(builder, _INT_VECTOR)
        scratch = cgutils.alloca_once(builder, ir.ArrayType(FLOAT, LANES * MOST_PAIRED + LANES))
        scratch = builder.bitcast(scratch, FLOAT.as_pointer())
        lists = [cgutils.alloca_once(builder, kind) for kind in (_INT_VECTOR, _VECTOR, _VECTOR)]
        builder.store(reals(0.0, LANES), checked)
        builder.store(integers(0, LANES), unknown)

        # A vector ahead, so that it is known how to blend one when its turn comes.
        slots = [cgutils.alloca_once(builder, kind) for kind in (_INT_VECTOR, *[_VECTOR] * 6)]

        def aim_at(pixel: Any) -> None:
            motions = _apart(builder, moved(builder, motion_source, pixel, INT64(2)))
            known = builder.fcmp_ordered("ord", *motions)
            builder.store(builder.select(known, builder.load(unknown), integers(-1, LANES)), unknown)
            aim = _take_aim(builder, grid, [builder.fmul(axis, signs) for axis in motions])
            for value, slot in zip(aim, slots, strict=True):
                builder.store(value, slot)

        aim_at(begin)
        with cgutils.for_range(builder, builder.sdiv(pixels, INT64(LANES))) as loop:
            passed = builder.mul(loop.index, INT64(LANES))
            pixel = builder.add(begin, passed)
            here = moved(builder, source, pixel, size)
            motion = moved(builder, motion_source, pixel, INT64(2))
            goal = moved(builder, result, passed, size)
            aim = _Aim(*(builder.load(slot) for slot in slots))
            grid.advance()
            last = builder.icmp_signed("==", passed, builder.sub(pixels, INT64(LANES)))
            aim_at(builder.select(last, pixel, builder.add(pixel, INT64(LANES))))

            lowest = _at_least(builder, builder.sub(INT64(0), pixel), -_FURTHEST)
            highest = builder.neg(_at_least(builder, builder.sub(pixel, room), -_FURTHEST))
            least, most = (splat(builder, builder.trunc(bound, INT32), LANES) for bound in (lowest, highest))
            safe = builder.select(builder.icmp_signed("<", aim.move, least), least, aim.move)
            safe = builder.select(builder.icmp_signed(">", safe, most), most, safe)
            one = _all(builder, builder.icmp_signed("==", aim.move, shuffle(builder, safe, safe, [0] * LANES)))

            for offset in (0, LANES):
                fetch_from(builder, moved(builder, motion, on, INT64(2)), offset)
            done, alone = (builder.append_basic_block(name) for name in ("done", "alone"))
            switch = builder.switch(size, alone)
            for number in range(1, MOST_PAIRED + 1):
                block = builder.append_basic_block("channels")
                switch.add_case(INT64(number), block)
                with builder.goto_block(block):
                    offsets = range(0, number * LANES, LANES)
                    total = builder.load(checked)
                    for offset in offsets:
                        total = call(builder, "fmuladd", load(builder, here, _VECTOR, offset), reals(0.0, LANES), total)
                        fetch_from(builder, moved(builder, here, on, INT64(number)), offset)
                    builder.store(total, checked)
                    several, together = (builder.append_basic_block(name) for name in ("several", "together"))
                    pieces = builder.append_basic_block("pieces")
                    builder.cbranch(one, together, several)
                    builder.position_at_end(together)
                    _blend_together(builder, number, aim, safe, here, below, goal)
                    builder.branch(done)
                    builder.position_at_end(several)
                    builder.cbranch(_all(builder, _covered(builder, number, aim, safe)), pieces, alone)
                    builder.position_at_end(pieces)
                    _blend_pieces(builder, number, aim, safe, here, below, goal)
                    builder.branch(done)

            builder.position_at_end(alone)
            for value, pointer in zip(_four_inside(builder, grid, aim), lists, strict=True):
                builder.store(value, pointer)
            spots, right, down = (
                builder.bitcast(pointer, kind.as_pointer())
                for pointer, kind in zip(lists, (INT32, FLOAT, FLOAT), strict=True)
            )
            beside, under = (
                builder.select(builder.icmp_signed(">", extent, INT64(1)), step, INT64(0))
                for extent, step in ((columns, size), (rows, below))
            )
            blend_pixels(builder, here, spots, right, down, INT64(LANES), beside, under, size, here, scratch)
            _keep_inside(builder, size, aim, scratch, goal, done)
            builder.position_at_end(done)

        grid.leave(place)
        fine = _all(builder, builder.fcmp_ordered("==", builder.load(checked), reals(0.0, LANES)))
        complete = _all(builder, builder.icmp_signed("==", builder.load(unknown), integers(0, LANES)))
        return builder.or_(
            builder.select(fine, INT64(0), INT64(FEATURES_DAMAGED)),
            builder.select(complete, INT64(0), INT64(FLOW_DAMAGED)),
        )

    n = types.intp
    return n(features, flow, types.float32, places, n, n, n, n, n, n, out, n), generate


class _Grid:
    """Columns and rows of 16 pixels of a batch, as floats, which hold them exactly."""

    def __init__(self, builder: Any, rows: Any, columns: Any, place: Any) -> None:
        def real(value: Any) -> Any:
            return splat(builder, builder.sitofp(value, FLOAT), LANES)

        self.builder = builder
        self.extents = real(columns), real(rows)
        self.pitch = splat(builder, builder.trunc(columns, INT32), LANES)
        step = builder.srem(INT64(LANES), builder.mul(columns, rows))
        self._steps = real(builder.srem(step, columns)), real(builder.sdiv(step, columns))
        self._places = [cgutils.alloca_once(builder, _VECTOR) for _ in range(2)]
        for k in range(2):
            builder.store(load(builder, place, _VECTOR, k * LANES), self._places[k])

    def places(self) -> list[Any]:
        return [self.builder.load(place) for place in self._places]

    def advance(self) -> None:
        """Go on to the next 16 pixels: into the next row, and the next image, where one ends."""
        builder, carried = self.builder, None
        for place, step, extent in zip(self._places, self._steps, self.extents, strict=True):
            value = builder.fadd(builder.load(place), step)
            if carried is not None:
                value = builder.select(carried, builder.fadd(value, reals(1.0, LANES)), value)
            carried = builder.fcmp_ordered(">=", value, extent)
            builder.store(builder.select(carried, builder.fsub(value, extent), value), place)

    def leave(self, place: Any) -> None:
        for k, value in enumerate(self.places()):
            store(self.builder, value, place, k * LANES)


class _Aim(NamedTuple):
    """Where 16 pixels sample, vectors: ``right`` and ``down`` of the upper left of four neighbours, ``move`` on.

    ``x`` and ``y`` are the pixels' own columns and rows, from which that neighbour is ``whole_x`` and ``whole_y`` away.
    """

    move: Any
    right: Any
    down: Any
    whole_x: Any
    whole_y: Any
    x: Any
    y: Any


def _take_aim(builder: Any, grid: _Grid, motions: list[Any]) -> _Aim:
    places = grid.places()
    inside = None  # Motion is compared with whole numbers: nothing is rounded. NaN is outside, too.
    for motion, place, extent in zip(motions, places, grid.extents, strict=True):
        to_last = builder.fsub(builder.fsub(extent, reals(1.0, LANES)), place)
        good = builder.fcmp_ordered(">=", motion, builder.fsub(reals(0.0, LANES), place))
        inside = good if inside is None else builder.and_(inside, good)
        inside = builder.and_(inside, builder.fcmp_ordered("<=", motion, to_last))
    motions = [builder.select(inside, motion, reals(0.0, LANES)) for motion in motions]
    wholes = [call(builder, "floor", motion) for motion in motions]
    fractions = [builder.fsub(motion, whole) for motion, whole in zip(motions, wholes, strict=True)]
    x, y = (builder.fptosi(whole, _INT_VECTOR) for whole in wholes)
    move = builder.add(builder.mul(y, grid.pitch), x)
    return _Aim(builder.select(inside, move, integers(_OUTSIDE, LANES)), *fractions, *wholes, *places)


def _four_inside(builder: Any, grid: _Grid, aim: _Aim) -> tuple[Any, Any, Any]:
    """Return, of each pixel, the upper left neighbour, counted from the first pixel, and the fractions.

    At the last column and row that neighbour is one before, so that all four are inside; it is the first of the image
    for samples outside.
    """
    spots = builder.add(ir.Constant(_INT_VECTOR, list(range(LANES))), aim.move)
    shares = []
    one = reals(1.0, LANES)
    for place, whole, fraction, extent, back in (
        (aim.x, aim.whole_x, aim.right, grid.extents[0], integers(1, LANES)),
        (aim.y, aim.whole_y, aim.down, grid.extents[1], grid.pitch),
    ):
        on_last = builder.fcmp_ordered("==", builder.fadd(place, whole), builder.fsub(extent, one))
        on_last = builder.and_(on_last, builder.fcmp_ordered(">", extent, one))
        spots = builder.select(on_last, builder.sub(spots, back), spots)
        shares.append(builder.select(on_last, one, fraction))
    x, y = (builder.fptosi(place, _INT_VECTOR) for place in (aim.x, aim.y))
    corner = builder.sub(integers(0, LANES), builder.add(builder.mul(y, grid.pitch), x))
    spots = builder.select(_outside(builder, aim.move), shuffle(builder, corner, corner, [0] * LANES), spots)
    return spots, shares[0], shares[1]


def _outside(builder: Any, move: Any) -> Any:
    return builder.icmp_signed("==", move, integers(_OUTSIDE, LANES))


def _apart(builder: Any, motion: Any) -> list[Any]:
    low, high = (load(builder, motion, _VECTOR, offset) for offset in (0, LANES))
    return [shuffle(builder, low, high, [2 * lane + axis for lane in range(LANES)]) for axis in (0, 1)]


def _all(builder: Any, mask: Any) -> Any:
    return builder.icmp_signed("==", builder.bitcast(mask, _BITS), _BITS(-1))


def _at_least(builder: Any, value: Any, bound: int) -> Any:
    return builder.select(builder.icmp_signed("<", value, INT64(bound)), INT64(bound), value)


def _spread(builder: Any, vector: Any, channels: int, offset: int) -> Any:
    """Return lanes ``offset`` on of a vector that has each pixel's value ``channels`` times."""
    return shuffle(builder, vector, vector, [(offset + lane) // channels for lane in range(LANES)])


def _tried(channels: int, offset: int) -> tuple[int, int]:
    """Return the pixels whose moves are tried for the vector that begins at this lane: its first and its last."""
    return offset // channels, (offset + LANES - 1) // channels


def _covered(builder: Any, channels: int, aim: _Aim, safe: Any) -> Any:
    """Return the pixels whose move is one of those that are tried where they lie, or that are outside."""
    tried = [_tried(channels, pixel * channels // LANES * LANES) for pixel in range(LANES)]
    covered = _outside(builder, aim.move)
    for pixels in zip(*tried, strict=True):
        same = builder.icmp_signed("==", aim.move, shuffle(builder, safe, safe, list(pixels)))
        covered = builder.or_(covered, same)
    return covered


def _blend_four(builder: Any, taps: list[Any], a: Any, b: Any) -> Any:
    """Blend upper left, lower left, upper right and lower right."""
    left, right = (mixed(builder, taps[k], taps[k + 1], b) for k in (0, 2))
    return mixed(builder, left, right, a)


def _taps(builder: Any, channels: int, here: Any, move: Any, below: Any, offset: int) -> list[Any]:
    upper = moved(builder, here, builder.sext(move, INT64), INT64(channels))
    lower = moved(builder, upper, below)
    return [load(builder, row, _VECTOR, offset + step) for step in (0, channels) for row in (upper, lower)]


def _blend_together(builder: Any, channels: int, aim: _Aim, safe: Any, here: Any, below: Any, goal: Any) -> None:
    """Blend 16 pixels of one move."""
    move = builder.extract_element(safe, INT32(0))
    for offset in range(0, channels * LANES, LANES):
        a, b = (_spread(builder, fraction, channels, offset) for fraction in (aim.right, aim.down))
        taps = _taps(builder, channels, here, move, below, offset)
        store(builder, _blend_four(builder, taps, a, b), goal, offset)


def _blend_pieces(builder: Any, channels: int, aim: _Aim, safe: Any, here: Any, below: Any, goal: Any) -> None:
    """Blend 16 pixels that ``_covered`` has all of; those outside become 0, as nothing is loaded for them."""
    for offset in range(0, channels * LANES, LANES):
        a, b = (_spread(builder, fraction, channels, offset) for fraction in (aim.right, aim.down))
        wanted = _spread(builder, aim.move, channels, offset)
        chosen = [reals(0.0, LANES)] * 4
        for pixel in _tried(channels, offset):
            move = builder.extract_element(safe, INT32(pixel))
            fits = builder.icmp_signed("==", wanted, splat(builder, move, LANES))
            taps = _taps(builder, channels, here, move, below, offset)
            chosen = [builder.select(fits, tap, before) for tap, before in zip(taps, chosen, strict=True)]
        store(builder, _blend_four(builder, chosen, a, b), goal, offset)


def _keep_inside(builder: Any, size: Any, aim: _Aim, source: Any, goal: Any, done: Any) -> None:
    """Copy 16 pixels, with 0 for those outside."""
    switch = builder.switch(size, done)
    for channels in range(1, MOST_PAIRED + 1):
        block = builder.append_basic_block("channels")
        switch.add_case(INT64(channels), block)
        with builder.goto_block(block):
            for offset in range(0, channels * LANES, LANES):
                outside = _outside(builder, _spread(builder, aim.move, channels, offset))
                value = load(builder, source, _VECTOR, offset)
                store(builder, builder.select(outside, reals(0.0, LANES), value), goal, offset)
            builder.branch(done)
