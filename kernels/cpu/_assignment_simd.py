"""From similarities to a displacement, in portable LLVM vector IR: a softmax, or a vote.

Both go through the window row by row and keep a state for a vector of pixels: ``FIRST_ROW`` items of ``LANES`` floats,
and one more for each row of the window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._matching_simd import LANES
from ._vectors import FLOAT, INT32, call, integers, larger, load, moved, pointer_to, reals, shuffle, splat, store

FIRST_ROW = 4  # item of the state
MAX_EXPONENT = 100  # weights up to 2^100: the sums of 31x31 of them, 15 pixels away, are finite

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)

# 2^f on [-1/2, 1/2], from f^0 to f^5; 2^0 is exact, the largest relative error is the least there is: 1e-7.
_EXP2 = (1.0, 0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647)


def _exp2(builder: Any, x: Any) -> Any:
    """``2^x`` of lanes from -126 to 127, relative error 2e-7."""
    shift = reals(float(3 << 22), LANES)  # adding it rounds to an integer, which is then in the lowest bits
    rounded = builder.fadd(x, shift)
    f = builder.fsub(x, builder.fsub(rounded, shift))
    power = reals(_EXP2[5], LANES)
    for coefficient in _EXP2[4::-1]:
        power = call(builder, "fmuladd", power, f, reals(coefficient, LANES))
    exponent = builder.shl(builder.bitcast(rounded, _INT_VECTOR), integers(23, LANES))
    return builder.bitcast(builder.add(builder.bitcast(power, _INT_VECTOR), exponent), _VECTOR)


def _in_balance(builder: Any, count: Any, weight: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the sum of ``weight(i)`` for an odd ``count``, and of ``weight(i) * (i - count // 2)``.

    They are added up in pairs from the ends to the middle, so that equal weights are exactly in balance.
    """
    half = builder.lshr(count, ir.Constant(count.type, 1))
    last = builder.sub(count, ir.Constant(count.type, 1))
    total, moment, distance = (cgutils.alloca_once(builder, _VECTOR) for _ in range(3))
    builder.store(weight(half), total)
    builder.store(reals(0.0, LANES), moment)
    builder.store(splat(builder, builder.sitofp(half, FLOAT), LANES), distance)
    with cgutils.for_range(builder, half) as loop:
        before, after = weight(loop.index), weight(builder.sub(last, loop.index))
        steps = builder.load(distance)
        builder.store(builder.fadd(builder.load(total), builder.fadd(before, after)), total)
        lean = call(builder, "fmuladd", builder.fsub(after, before), steps, builder.load(moment))
        builder.store(lean, moment)
        builder.store(builder.fsub(steps, reals(1.0, LANES)), distance)
    return builder.load(total), builder.load(moment)


@intrinsic  # type: ignore[untyped-decorator]
def soften(
    typing_context: Any, exponents: Any, index: Any, columns: Any, state: Any, state_index: Any, row: Any
) -> Any:
    """Add row ``row`` of the window, counted from 0, to a softmax of base 2 of exponents up to ``MAX_EXPONENT``.

    ``exponents[index + j * LANES + lane]`` are logarithms of weights, and column ``j`` of an odd number of ``columns``
    is at ``x = j - columns // 2``. The sums of weights times x go to the second item of the state, the sum of the
    row's weights to its item ``FIRST_ROW + row``, for ``sum_rows``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, num_columns, state_array, s, dy = args
        source = pointer_to(context, builder, exponents, array, first)
        target = pointer_to(context, builder, state, state_array, s)
        lanes = ir.Constant(first.type, LANES)

        def weight(j: Any) -> Any:
            return _exp2(builder, load(builder, moved(builder, source, j, lanes), _VECTOR))

        total, moment = _in_balance(builder, num_columns, weight)
        store(builder, builder.fadd(load(builder, target, _VECTOR, LANES), moment), target, LANES)
        store(builder, total, moved(builder, target, dy, lanes), FIRST_ROW * LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(exponents, n, n, state, n, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def sum_rows(typing_context: Any, state: Any, state_index: Any, rows: Any) -> Any:
    """Complete what ``soften`` made of all rows of a window, so that the state is as ``soften_online`` has it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, s, num_rows = args
        target = pointer_to(context, builder, state, array, s)
        lanes = ir.Constant(s.type, LANES)

        def weight(i: Any) -> Any:
            return load(builder, moved(builder, target, i, lanes), _VECTOR, FIRST_ROW * LANES)

        total, moment = _in_balance(builder, num_rows, weight)
        store(builder, total, target)
        store(builder, moment, target, 2 * LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(state, n, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def soften_online(
    typing_context: Any, exponents: Any, index: Any, columns: Any, dy: Any, state: Any, state_index: Any
) -> Any:
    """Add one row of the window to an online softmax of base 2, of exponents of any size.

    As ``soften``, but ``dy`` is the displacement of the row, float32, and the state holds the sums of weights, of
    weights times x and of weights times y, all relative to the largest exponent so far, which is its fourth item.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, first, num_columns, y, state_array, s = args
        source = pointer_to(context, builder, exponents, array, first)
        target = pointer_to(context, builder, state, state_array, s)
        lanes = ir.Constant(first.type, LANES)
        old = load(builder, target, _VECTOR, 3 * LANES)
        largest = cgutils.alloca_once(builder, _VECTOR)
        builder.store(old, largest)

        def exponent(j: Any) -> Any:
            return load(builder, moved(builder, source, j, lanes), _VECTOR)

        def power(exponent: Any) -> Any:  # what is below float32 is nothing beside the largest
            return _exp2(builder, larger(builder, builder.fsub(exponent, new), reals(-126.0, LANES)))

        with cgutils.for_range(builder, num_columns) as loop:
            builder.store(larger(builder, builder.load(largest), exponent(loop.index)), largest)
        new = builder.load(largest)
        total, moment = _in_balance(builder, num_columns, lambda j: power(exponent(j)))
        scale = power(old)
        for i, increment in enumerate((total, moment, builder.fmul(total, splat(builder, y, LANES)))):
            so_far = load(builder, target, _VECTOR, i * LANES)
            store(builder, call(builder, "fmuladd", so_far, scale, increment), target, i * LANES)
        store(builder, new, target, 3 * LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(exponents, n, n, types.float32, state, n), generate


@intrinsic  # type: ignore[untyped-decorator]
def expect(typing_context: Any, state: Any, state_index: Any, out: Any, out_index: Any) -> Any:
    """Write the mean displacements of a vector of pixels, ``x, y, x, y, ...``, from the sums of a softmax."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, s, out_array, o = args
        source = pointer_to(context, builder, state, array, s)
        target = pointer_to(context, builder, out, out_array, o)
        weights, *moments = (load(builder, source, _VECTOR, i * LANES) for i in range(3))
        x, y = (builder.fdiv(moment, weights) for moment in moments)
        for i in range(2):
            half = range(i * LANES // 2, (i + 1) * LANES // 2)
            store(builder, shuffle(builder, x, y, [j for k in half for j in (k, LANES + k)]), target, i * LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(state, n, out, n), generate


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
        source = pointer_to(context, builder, scores, array, first)
        rank_source = pointer_to(context, builder, ranks, rank_array, first_rank)
        target = pointer_to(context, builder, state, state_array, s)
        best, winner = cgutils.alloca_once(builder, _VECTOR), cgutils.alloca_once(builder, _INT_VECTOR)
        builder.store(load(builder, target, _VECTOR), best)
        builder.store(load(builder, target, _INT_VECTOR, LANES), winner)
        with cgutils.for_range(builder, num_columns) as loop:
            score = load(builder, moved(builder, source, loop.index, ir.Constant(first.type, LANES)), _VECTOR)
            rank = splat(builder, builder.load(moved(builder, rank_source, loop.index)), LANES)
            before, rank_before = builder.load(best), builder.load(winner)
            tied = builder.and_(builder.fcmp_ordered("==", score, before), builder.icmp_signed("<", rank, rank_before))
            wins = builder.or_(builder.fcmp_ordered(">", score, before), tied)
            builder.store(builder.select(wins, score, before), best)
            builder.store(builder.select(wins, rank, rank_before), winner)
        store(builder, builder.load(best), target)
        store(builder, builder.load(winner), target, LANES)
        return context.get_dummy_value()

    n = types.intp
    return types.void(scores, n, n, ranks, n, state, n), generate
