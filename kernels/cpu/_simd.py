"""The few vector operations that no compiler finds by itself, spelled out in portable LLVM vector IR.

A filter along rows reads its taps from neighbouring lanes, which does not vectorise at an arbitrary scale; along
columns it is plain SIMD. Transposing small tiles turns one into the other, if the transpose itself is cheap: log2(n)
rounds of interleaving. The operations on tile columns have a fixed length of 16 lanes, which LLVM would unroll into
scalars (it cannot know that the arrays do not overlap); as vector values they stay in registers.

Every function here takes C-contiguous arrays and indices into their flattened form, and checks nothing: callers keep
blocks inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # rows of a tile

_INT32 = ir.IntType(32)
_VECTOR32 = ir.VectorType(_INT32, LANES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _vector_pointer(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int = LANES
) -> Any:
    vector = ir.VectorType(context.get_data_type(array_type.dtype), lanes)
    return builder.bitcast(_pointer(context, builder, array_type, array, index), vector.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR32, ir.Undefined), scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, ir.Constant(_VECTOR32, ir.Undefined), ir.Constant(_VECTOR32, [0] * LANES))


def _constant(value: int) -> Any:
    return ir.Constant(_VECTOR32, [value] * LANES)


def _transpose_block(lanes: int) -> Callable[..., None]:
    """Make ``transpose(src, src_index, src_stride, dst, dst_index, dst_stride)`` of ``lanes`` x ``lanes`` elements."""

    @intrinsic  # type: ignore[untyped-decorator]
    def transpose(
        typing_context: Any, src: Any, src_index: Any, src_stride: Any, dst: Any, dst_index: Any, dst_stride: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, source_index, source_stride, target, target_index, target_stride = args
            align = src.dtype.bitwidth // 8

            def row_pointer(array_type: Any, array: Any, first: Any, stride: Any, row: int) -> Any:
                index = builder.add(first, builder.mul(stride, ir.Constant(first.type, row)))
                return _vector_pointer(context, builder, array_type, array, index, lanes)

            rows = [
                builder.load(row_pointer(src, source, source_index, source_stride, row), align=align)
                for row in range(lanes)
            ]
            half = lanes // 2
            mask = ir.VectorType(_INT32, lanes)
            low = ir.Constant(mask, [i // 2 + (lanes if i % 2 else 0) for i in range(lanes)])
            high = ir.Constant(mask, [half + i // 2 + (lanes if i % 2 else 0) for i in range(lanes)])
            for _ in range(lanes.bit_length() - 1):  # each round interleaves row i with row i + lanes/2
                rows = [
                    builder.shuffle_vector(rows[i // 2], rows[i // 2 + half], high if i % 2 else low)
                    for i in range(lanes)
                ]
            for row in range(lanes):
                builder.store(rows[row], row_pointer(dst, target, target_index, target_stride, row), align=align)
            return context.get_dummy_value()

        return types.void(src, types.intp, types.intp, dst, types.intp, types.intp), generate

    return transpose  # type: ignore[no-any-return]


transpose_8x8 = _transpose_block(8)
transpose_16x16 = _transpose_block(16)


@intrinsic  # type: ignore[untyped-decorator]
def filter_lanes(
    typing_context: Any, src: Any, src_index: Any, src_stride: Any, weights: Any, weight_index: Any, taps: Any,
    bits: Any, dst: Any, dst_index: Any,
) -> Any:  # fmt: skip
    """``dst[l] = min((sum_k weights[k] * src[k * src_stride + l] + 2**(bits-1)) >> bits, 2**15 - 1)``, 16 lanes.

    ``src`` holds uint8, uint16 or int16, ``weights`` int32 and ``dst`` int16; sums are of 32 bits.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, source_index, stride, weight_array, first_weight, num_taps, shift, target, target_index = args
        widen = builder.sext if src.dtype.signed else builder.zext
        align = src.dtype.bitwidth // 8
        shift = builder.trunc(shift, _INT32)
        half = builder.shl(ir.Constant(_INT32, 1), builder.sub(shift, ir.Constant(_INT32, 1)))
        total = cgutils.alloca_once_value(builder, _splat(builder, half))
        with cgutils.for_range(builder, num_taps) as loop:
            row = builder.add(source_index, builder.mul(loop.index, stride))
            samples = builder.load(_vector_pointer(context, builder, src, source, row), align=align)
            weight = builder.load(
                _pointer(context, builder, weights, weight_array, builder.add(first_weight, loop.index)), align=4
            )
            product = builder.mul(widen(samples, _VECTOR32), _splat(builder, weight))
            builder.store(builder.add(builder.load(total), product), total)
        shifted = builder.ashr(builder.load(total), _splat(builder, shift))
        limit = _constant(2**15 - 1)
        shifted = builder.select(builder.icmp_signed("<", shifted, limit), shifted, limit)
        result = builder.trunc(shifted, ir.VectorType(ir.IntType(16), LANES))
        builder.store(result, _vector_pointer(context, builder, dst, target, target_index), align=2)
        return context.get_dummy_value()

    index = types.intp
    return types.void(src, index, index, weights, index, index, index, dst, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def mix_lanes(
    typing_context: Any, src: Any, src_index: Any, src_stride: Any, weights: Any, weight_index: Any, bias: Any,
    bits: Any, dst: Any, dst_index: Any,
) -> Any:  # fmt: skip
    """``dst[l] = clip((sum_j weights[j] * src[j * src_stride + l] + bias) >> bits, 0, 255)``, j < 3, 16 lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, source_index, stride, weight_array, first_weight, start, shift, target, target_index = args
        total = _splat(builder, start)
        for j in range(3):
            constant = ir.Constant(source_index.type, j)
            row = builder.add(source_index, builder.mul(stride, constant))
            samples = builder.load(_vector_pointer(context, builder, src, source, row), align=2)
            weight = builder.load(
                _pointer(context, builder, weights, weight_array, builder.add(first_weight, constant)), align=4
            )
            total = builder.add(total, builder.mul(builder.sext(samples, _VECTOR32), _splat(builder, weight)))
        total = builder.ashr(total, _splat(builder, builder.trunc(shift, _INT32)))
        for limit, comparison in ((0, "<"), (255, ">")):
            outside = builder.icmp_signed(comparison, total, _constant(limit))
            total = builder.select(outside, _constant(limit), total)
        pointer = _vector_pointer(context, builder, dst, target, target_index)
        builder.store(builder.trunc(total, ir.VectorType(ir.IntType(8), LANES)), pointer, align=1)
        return context.get_dummy_value()

    index = types.intp
    return types.void(src, index, index, weights, index, types.int32, index, dst, index), generate
