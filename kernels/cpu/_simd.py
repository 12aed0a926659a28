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

_INT8, _INT16, _INT32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_VECTOR8, _VECTOR16, _VECTOR32 = (ir.VectorType(kind, LANES) for kind in (_INT8, _INT16, _INT32))


@intrinsic  # type: ignore[untyped-decorator]
def memory_at(typing_context: Any, address: Any) -> Any:
    """Turn an address, an integer, into the pointer that ``numba.carray`` takes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _vector_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int = LANES) -> Any:
    vector = ir.VectorType(context.get_data_type(array_type.dtype), lanes)
    return builder.bitcast(_pointer(context, builder, array_type, array, index), vector.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    vector = ir.VectorType(scalar.type, LANES)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_VECTOR32, [0] * LANES))


def _constant(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * LANES)


def _table_value(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Load from an int32 table that nothing writes to while the kernel runs, so that loops load it once."""
    value = builder.load(_pointer(context, builder, array_type, array, index), align=4)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _high_product(builder: Any, a: Any, b: Any, *, signed: bool) -> Any:
    """``(a * b) >> 16`` of 16-bit lanes: one instruction where there are vectors."""
    widen, shift = (builder.sext, builder.ashr) if signed else (builder.zext, builder.lshr)
    product = builder.mul(widen(a, _VECTOR32), widen(b, _VECTOR32))
    return builder.trunc(shift(product, _constant(_VECTOR32, 16)), _VECTOR16)


def _saturating_add(builder: Any, a: Any, b: Any) -> Any:
    """``min(a + b, 2**16 - 1)`` of unsigned 16-bit lanes."""
    total = builder.add(a, b)
    return builder.select(builder.icmp_unsigned("<", total, a), _constant(_VECTOR16, -1), total)


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


def _filter_lanes(narrow: bool) -> Callable[..., None]:
    """Make ``filter(src, src_index, src_stride, left, weights, weight_index, taps, dst, dst_index)``.

    One axis of ``vidprep.kernels.yuv``, for 16 outputs side by side: tap ``k`` reads ``src[src_index + k *
    src_stride]`` and its 15 neighbours, shifted left by ``left``. ``src`` holds uint8 or uint16, ``weights`` int32 and
    ``dst`` uint16. ``narrow`` adds truncated products in 16 bits, otherwise whole ones in 32.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def filter_lanes(
        typing_context: Any, src: Any, src_index: Any, src_stride: Any, left: Any, weights: Any, weight_index: Any,
        taps: Any, dst: Any, dst_index: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, first, stride, shift, weight_array, first_weight, num_taps, target, target_index = args
            align = src.dtype.bitwidth // 8
            sum_type = _VECTOR16 if narrow else _VECTOR32
            total = cgutils.alloca_once_value(builder, _constant(sum_type, 0 if narrow else 1 << 15))
            shifts = _splat(builder, builder.trunc(shift, _INT16))
            with cgutils.for_range(builder, num_taps) as loop:
                row = builder.add(first, builder.mul(loop.index, stride))
                samples = builder.load(_vector_pointer(context, builder, src, source, row), align=align)
                if src.dtype.bitwidth == 8:
                    samples = builder.zext(samples, _VECTOR16)
                samples = builder.shl(samples, shifts)
                weight = _table_value(context, builder, weights, weight_array, builder.add(first_weight, loop.index))
                if narrow:
                    weight = _splat(builder, builder.trunc(weight, _INT16))
                    product = _high_product(builder, samples, weight, signed=False)
                else:
                    product = builder.mul(builder.zext(samples, _VECTOR32), _splat(builder, weight))
                builder.store(builder.add(builder.load(total), product), total)
            result = builder.load(total)
            if narrow:
                half = builder.lshr(builder.trunc(num_taps, _INT16), ir.Constant(_INT16, 1))
                result = _saturating_add(builder, result, _splat(builder, half))
            else:
                result = builder.trunc(builder.lshr(result, _constant(_VECTOR32, 16)), _VECTOR16)
            builder.store(result, _vector_pointer(context, builder, dst, target, target_index), align=2)
            return context.get_dummy_value()

        index = types.intp
        return types.void(src, index, index, index, weights, index, index, dst, index), generate

    return filter_lanes  # type: ignore[no-any-return]


filter_narrow = _filter_lanes(narrow=True)
filter_wide = _filter_lanes(narrow=False)


@intrinsic  # type: ignore[untyped-decorator]
def mix_lanes(
    typing_context: Any, src: Any, src_index: Any, src_stride: Any, shifts: Any, offsets: Any, coefficients: Any,
    biases: Any, bits: Any, dst: Any, dst_index: Any,
) -> Any:  # fmt: skip
    """Mix 16 pixels of three planes to RGB: the colour step of ``vidprep.kernels.yuv``.

    Plane ``j`` is at ``src[src_index + j * src_stride]``, uint16; channel ``i`` goes to ``dst[dst_index + 16 i]``,
    uint8. The tables are int32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, first, stride, shift_array, offset_array, matrix, bias_array, right, target, target_index = args

        def constant(value: int) -> Any:
            return ir.Constant(first.type, value)

        def table(array_type: Any, array: Any, index: int) -> Any:
            value = _table_value(context, builder, array_type, array, constant(index))
            return _splat(builder, builder.trunc(value, _INT16))

        planes = []
        for j in range(3):
            row = builder.add(first, builder.mul(stride, constant(j)))
            samples = builder.load(_vector_pointer(context, builder, src, source, row), align=2)
            shifted = builder.lshr(samples, table(shifts, shift_array, j))
            planes.append(builder.sub(shifted, table(offsets, offset_array, j)))
        shift = _splat(builder, builder.trunc(right, _INT16))
        for i in range(3):
            total = table(biases, bias_array, i)
            for j in range(3):
                weight = table(coefficients, matrix, 3 * i + j)
                total = builder.add(total, _high_product(builder, planes[j], weight, signed=True))
            total = builder.ashr(total, shift)
            for limit, comparison in ((0, "<"), (255, ">")):
                outside = builder.icmp_signed(comparison, total, _constant(_VECTOR16, limit))
                total = builder.select(outside, _constant(_VECTOR16, limit), total)
            pointer = _vector_pointer(context, builder, dst, target, builder.add(target_index, constant(LANES * i)))
            builder.store(builder.trunc(total, _VECTOR8), pointer, align=1)
        return context.get_dummy_value()

    index = types.intp
    return types.void(src, index, index, shifts, offsets, coefficients, biases, index, dst, index), generate
