"""The inner loop of residual frames, in portable LLVM vector IR: one long vector at a time, aligned to cache lines.

What LLVM makes of the loop is unrolled, which is slower where frames are not in the first cache, and never writes
around the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._vectors import INT32, moved, pointer_to

LANES = 64  # a cache line of bytes

_LINE = 64  # bytes


def _subtraction(absolute: bool) -> Callable[..., int]:
    """Make ``subtract(earlier, later, out, around)``: write ``later - earlier``, or its absolute value.

    All have one axis and the size of ``out``; sources are uint8 or float32, and signed differences of bytes int16.
    ``around`` says whether to write around the cache. Returns how many were written: all, but none of fewer than
    ``LANES``, or where items are not aligned.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def subtract(typing_context: Any, earlier: Any, later: Any, out: Any, around: Any) -> Any:
        def difference(builder: Any, a: Any, b: Any) -> Any:
            if earlier.dtype == types.float32:
                result = builder.fsub(b, a)
                if not absolute:
                    return result
                bits = ir.VectorType(INT32, LANES)
                magnitude = builder.and_(builder.bitcast(result, bits), ir.Constant(bits, [0x7FFFFFFF] * LANES))
                return builder.bitcast(magnitude, result.type)
            if absolute:
                return builder.select(builder.icmp_unsigned(">", b, a), builder.sub(b, a), builder.sub(a, b))
            wide = ir.VectorType(ir.IntType(16), LANES)
            return builder.sub(builder.zext(b, wide), builder.zext(a, wide))

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = (earlier, later, out)
            zero = ir.Constant(ir.IntType(64), 0)
            pointers = [pointer_to(context, builder, k, array, zero) for k, array in zip(kinds, args[:3], strict=True)]
            item = out.dtype.bitwidth // 8

            def write(i: Any, align: int) -> Any:
                first, second, target = (moved(builder, pointer, i) for pointer in pointers)
                vector = ir.VectorType(context.get_data_type(earlier.dtype), LANES).as_pointer()
                a, b = (builder.load(builder.bitcast(p, vector), align=1) for p in (first, second))
                result = difference(builder, a, b)
                return builder.store(result, builder.bitcast(target, result.type.as_pointer()), align=align)

            size = builder.extract_value(context.make_array(out)(context, builder, args[2]).shape, 0)
            lanes = ir.Constant(size.type, LANES)
            address = builder.ptrtoint(pointers[2], size.type)
            odd = builder.and_(address, ir.Constant(size.type, item - 1))
            enough = builder.and_(builder.icmp_signed(">=", size, lanes), builder.icmp_signed("==", odd, zero))
            with builder.if_then(enough):
                write(zero, item)  # these two overlap what lies between them
                last = builder.sub(size, lanes)
                write(last, item)
                ahead = builder.and_(builder.neg(address), ir.Constant(size.type, _LINE - 1))
                begin = builder.udiv(ahead, ir.Constant(size.type, item))
                with builder.if_else(args[3]) as (streaming, caching):
                    for branch in (streaming, caching):
                        with branch, cgutils.for_range_slice(builder, begin, last, lanes) as (i, _):
                            stored = write(i, _LINE)
                            if branch is streaming:
                                stored.set_metadata("nontemporal", builder.module.add_metadata([INT32(1)]))
            return builder.select(enough, size, zero)

        return types.intp(earlier, later, out, types.boolean), generate

    return subtract  # type: ignore[no-any-return]


subtract = _subtraction(absolute=False)
subtract_absolutely = _subtraction(absolute=True)
