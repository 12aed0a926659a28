"""From similarities to a displacement, in portable LLVM vector IR: an online softmax, or a vote.

Both go through the window row by row and keep a state of ``STATE`` floats for a vector of pixels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._matching_simd import LANES
from ._vectors import FLOAT, INT32, call, integers, larger, load, moved, pointer_to, reals, splat, store

STATE = 4 * LANES

_VECTOR, _INT_VECTOR = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)

# 2^f on [-1/2, 1/2], from f^0 to f^5; 2^0 is exact, the largest relative error is the least there is: 1e-7.
_EXP2 = (1.0, 0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647)


def _exp2(builder: Any, x: Any) -> Any:
    """``2^x`` of lanes of at most 0, relative error 2e-7; below -126 it is 2^-126, nothing beside the largest term."""
    x = larger(builder, x, reals(-126.0, LANES))
    shift = reals(float(3 << 22), LANES)  # adding it rounds to an integer, which is then in the lowest bits
    rounded = builder.fadd(x, shift)
    f = builder.fsub(x, builder.fsub(rounded, shift))
    power = reals(_EXP2[5], LANES)
    for coefficient in _EXP2[4::-1]:
        power = call(builder, "fmuladd", power, f, reals(coefficient, LANES))
    exponent = builder.shl(builder.bitcast(rounded, _INT_VECTOR), integers(23, LANES))
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
        source = pointer_to(context, builder, exponents, array, first)
        target = pointer_to(context, builder, state, state_array, s)
        lanes = ir.Constant(first.type, LANES)
        old = load(builder, target, _VECTOR)
        largest = cgutils.alloca_once_value(builder, old)
        builder.store(old, largest)
        with cgutils.for_range(builder, num_columns) as loop:
            exponent = load(builder, moved(builder, source, loop.index, lanes), _VECTOR)
            builder.store(larger(builder, builder.load(largest), exponent), largest)
        new = builder.load(largest)
        weights, moments, x = (cgutils.alloca_once(builder, _VECTOR) for _ in range(3))
        builder.store(reals(0.0, LANES), weights)
        builder.store(reals(0.0, LANES), moments)
        builder.store(splat(builder, x0, LANES), x)
        with cgutils.for_range(builder, num_columns) as loop:
            exponent = load(builder, moved(builder, source, loop.index, lanes), _VECTOR)
            weight = _exp2(builder, builder.fsub(exponent, new))
            builder.store(builder.fadd(builder.load(weights), weight), weights)
            builder.store(call(builder, "fmuladd", weight, builder.load(x), builder.load(moments)), moments)
            builder.store(builder.fadd(builder.load(x), reals(1.0, LANES)), x)
        scale = _exp2(builder, builder.fsub(old, new))
        total = builder.load(weights)
        increments = (total, builder.load(moments), builder.fmul(total, splat(builder, y, LANES)))
        store(builder, new, target)
        for i, increment in enumerate(increments, 1):
            so_far = load(builder, target, _VECTOR, i * LANES)
            store(builder, call(builder, "fmuladd", so_far, scale, increment), target, i * LANES)
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
