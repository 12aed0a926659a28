"""Warping of pixels that are whole cache lines long: results are made by the line, and written as soon as they are.

Arrays seldom begin where a cache line does, but mostly all amiss by as much. So features are read by what are lines of
the result; a line that two pixels share has lanes of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._vectors import BIT, FLOAT, INT32, INT64, call, load, moved, pointer_to, reals, splat, store
from ._warp_simd import FEATURES_DAMAGED, LANES, MINUEND_DAMAGED, fetch_from, weighted

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
_MASK = ir.VectorType(BIT, LANES)
_BITS = ir.IntType(LANES)


def _masked_loads() -> bool:
    """Whether this processor loads and stores some lanes of a vector at once: else LLVM branches around every lane."""
    try:
        return bool(get_host_cpu_features().get("avx2", False))
    except RuntimeError:  # nobody can tell
        return False


MASKED_LOADS = _masked_loads()


@intrinsic  # type: ignore[untyped-decorator]
def weigh(typing_context: Any, right: Any, down: Any, first: Any, outside: Any, weights: Any) -> Any:
    """Make the weights of the neighbours of pixels ``first`` to ``first + 16`` from their fractions.

    ``weights[first + i]`` is that of the upper left one, those of the others follow each a quarter of the array later.
    They are 0 for pixels whose bit is set in ``outside``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        right_array, down_array, begin, bits, weight_array = args
        a = load(builder, pointer_to(context, builder, right, right_array, begin), _VECTOR)
        b = load(builder, pointer_to(context, builder, down, down_array, begin), _VECTOR)
        target = pointer_to(context, builder, weights, weight_array, begin)
        distance = _quarter(context, builder, weights, weight_array)
        left, up = (builder.fsub(reals(1.0, LANES), fraction) for fraction in (a, b))
        out = builder.bitcast(builder.trunc(bits, _BITS), _MASK)
        for k, (y, x) in enumerate(((up, left), (up, a), (b, left), (b, a))):
            weight = builder.select(out, reals(0.0, LANES), builder.fmul(y, x))
            store(builder, weight, moved(builder, target, k, distance))
        return context.get_dummy_value()

    n = types.intp
    return types.void(right, down, n, n, weights), generate


def _quarter(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return builder.sdiv(context.make_array(array_type)(context, builder, array).nitems, INT64(4))


def _masked_load(builder: Any, pointer: Any, mask: Any, other: Any) -> Any:
    address = builder.bitcast(pointer, _VECTOR.as_pointer())
    kind = ir.FunctionType(_VECTOR, [address.type, INT32, _MASK, _VECTOR])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.load.v16f32.p0")
    return builder.call(function, [address, INT32(4), mask, other])


def _masked_store(builder: Any, value: Any, pointer: Any, mask: Any) -> None:
    address = builder.bitcast(pointer, _VECTOR.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [_VECTOR, address.type, INT32, _MASK])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.store.v16f32.p0")
    builder.call(function, [value, address, INT32(4), mask])


def _lines(subtract: bool, around_cache: bool) -> Callable[..., int]:
    """Make ``blend_lines``, for channels that are a multiple of 16.

    It blends the features of ``count`` pixels, one after the other in a row, into ``out[out_index:]``, or takes them
    from ``minuend[out_index:]``, and returns bits: ``FEATURES_DAMAGED`` and ``MINUEND_DAMAGED`` if what lies there in
    ``features`` or ``minuend`` is not finite. The image begins at ``features[index]``;
    ``places`` are those of ``aim``, ``weights`` those of ``weigh``; ``to_right`` and ``below`` are the distances to the
    next pixel and the next row, or 0 if there is none. ``around_cache`` writes straight to memory, and asks it for what
    is to be read ``ahead`` floats on.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def blend_lines(
        typing_context: Any, features: Any, index: Any, places: Any, weights: Any, count: Any,
        to_right: Any, below: Any, channels: Any, ahead: Any, minuend: Any, out: Any, out_index: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, i, place_array, weight_array, pixels, beside, under, size, on, other, target, o = args
            distance = _quarter(context, builder, weights, weight_array)
            image = pointer_to(context, builder, features, source, i)
            place = pointer_to(context, builder, places, place_array, INT64(0))
            weight = pointer_to(context, builder, weights, weight_array, INT64(0))
            result = pointer_to(context, builder, out, target, o)
            its, other_its = (
                pointer_to(context, builder, *array, o) for array in ((features, source), (minuend, other))
            )
            zero = reals(0.0, LANES)
            checked = [cgutils.alloca_once(builder, _VECTOR) for _ in range(2)]  # of features and of the minuend
            for total in checked:
                builder.store(zero, total)  # stays 0, as 0 times a number is, but not 0 times NaN or infinity
            address = builder.udiv(builder.ptrtoint(result, INT64), INT64(4))
            head = builder.and_(builder.sub(INT64(0), address), INT64(LANES - 1))
            rest = builder.sub(INT64(LANES), head)  # of the line that a pixel shares with the next
            split = splat(builder, builder.trunc(rest, INT32), LANES)
            lanes = ir.Constant(_INT_VECTOR, list(range(LANES)))
            of_this = builder.icmp_signed(">=", lanes, split)
            of_last = builder.not_(of_this)
            shared = builder.icmp_signed("!=", head, INT64(0))
            blocks = builder.sdiv(builder.sub(size, head), INT64(LANES))
            offsets = [INT64(0), beside, under, builder.add(beside, under)]

            def taps(p: Any) -> list[Any]:
                start = builder.mul(builder.sext(builder.load(moved(builder, place, p)), INT64), size)
                return [moved(builder, image, builder.add(start, offset)) for offset in offsets]

            def weights_of(p: Any) -> list[Any]:
                return [
                    splat(builder, builder.load(moved(builder, moved(builder, weight, p), k, distance)), LANES)
                    for k in range(4)
                ]

            def checked_line(k: int, at: Any, mask: Any) -> Any:
                place = moved(builder, (its, other_its)[k], at)
                line = load(builder, place, _VECTOR) if mask is None else _masked_load(builder, place, mask, zero)
                builder.store(call(builder, "fmuladd", line, zero, builder.load(checked[k])), checked[k])
                return line

            def difference(value: Any, at: Any, mask: Any = None) -> Any:
                checked_line(0, at, mask)
                return builder.fsub(checked_line(1, at, mask), value) if subtract else value

            def put(value: Any, at: Any) -> None:
                goal = builder.bitcast(moved(builder, result, at), _VECTOR.as_pointer())
                instruction = builder.store(difference(value, at), goal, align=64)
                if around_cache:
                    instruction.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))

            kept_taps = [cgutils.alloca_once_value(builder, tap) for tap in taps(INT64(0))]
            kept_factors = [cgutils.alloca_once_value(builder, zero) for _ in range(4)]
            with cgutils.for_range(builder, pixels) as loop:
                p = loop.index
                first = builder.mul(p, size)
                these, factors = taps(p), weights_of(p)
                old_taps, old_factors = ([builder.load(k) for k in kept] for kept in (kept_taps, kept_factors))
                for k in range(4):
                    builder.store(these[k], kept_taps[k])
                    builder.store(factors[k], kept_factors[k])
                with builder.if_then(shared):
                    is_first = builder.icmp_signed("==", p, INT64(0))
                    back = builder.sub(size, rest)
                    values = []
                    for this, last in zip(these, old_taps, strict=True):
                        value = _masked_load(builder, moved(builder, this, builder.neg(rest)), of_this, zero)
                        values.append(_masked_load(builder, moved(builder, last, back), of_last, value))
                    mixed = [builder.select(of_this, a, b) for a, b in zip(factors, old_factors, strict=True)]
                    line = weighted(builder, values, mixed)
                    at = builder.sub(first, rest)
                    with builder.if_else(is_first) as (alone, joined):
                        with alone:
                            _masked_store(builder, difference(line, at, of_this), moved(builder, result, at), of_this)
                        with joined:
                            put(line, at)
                with cgutils.for_range(builder, blocks) as inner:
                    c = builder.add(head, builder.mul(inner.index, INT64(LANES)))
                    values = [load(builder, moved(builder, tap, c), _VECTOR) for tap in these]
                    put(weighted(builder, values, factors), builder.add(first, c))
                if around_cache:
                    with cgutils.for_range(builder, builder.sdiv(size, INT64(LANES))) as inner:
                        c = builder.add(first, builder.mul(inner.index, INT64(LANES)))
                        for pointer in (its, other_its) if subtract else (its,):
                            fetch_from(builder, pointer, builder.add(on, c))
            with builder.if_then(shared):
                p = builder.sub(pixels, INT64(1))
                back = builder.sub(size, rest)
                values = [_masked_load(builder, moved(builder, tap, back), of_last, zero) for tap in taps(p)]
                line = weighted(builder, values, weights_of(p))
                at = builder.add(builder.mul(p, size), back)
                _masked_store(builder, difference(line, at, of_last), moved(builder, result, at), of_last)
            damage = INT64(0)
            for total, bit in zip(checked, (FEATURES_DAMAGED, MINUEND_DAMAGED), strict=True):
                zeros = builder.bitcast(builder.fcmp_ordered("==", builder.load(total), zero), _BITS)
                fine = builder.icmp_signed("==", zeros, _BITS(-1))
                damage = builder.or_(damage, builder.select(fine, INT64(0), INT64(bit)))
            return damage

        n = types.intp
        return n(features, n, places, weights, n, n, n, n, n, minuend, out, n), generate

    return blend_lines  # type: ignore[no-any-return]


warp_lines, warp_lines_around_cache = _lines(False, False), _lines(False, True)
subtract_lines, subtract_lines_around_cache = _lines(True, False), _lines(True, True)
