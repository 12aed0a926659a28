"""Bytes at addresses, for compiled code: what is loaded, stored, copied and filled where.

Nothing is checked: callers keep addresses inside their buffers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT8, _INT16, _INT32, _INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_VECTOR = ir.VectorType(_INT8, 64)
_POINTER = _INT8.as_pointer()


@intrinsic  # type: ignore[untyped-decorator]
def byte_at(typing_context: Any, address: Any) -> Any:
    """The byte at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(builder.inttoptr(args[0], _POINTER)), _INT64)

    return types.intp(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def little_endian_16(typing_context: Any, address: Any) -> Any:
    """The unsigned 16-bit number at an address, least significant byte first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(builder.inttoptr(args[0], _INT16.as_pointer()), align=1), _INT64)

    return types.intp(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def big_endian_32(typing_context: Any, address: Any) -> Any:
    """The unsigned 32-bit number at an address, most significant byte first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(builder.inttoptr(args[0], _INT32.as_pointer()), align=1)
        return builder.zext(builder.bswap(loaded), _INT64)

    return types.intp(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def put_byte(typing_context: Any, address: Any, byte: Any) -> Any:
    """Store the lowest eight bits of a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(builder.trunc(args[1], _INT8), builder.inttoptr(args[0], _POINTER))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_64(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy 64 bytes, as one vector: they may overlap."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(builder.inttoptr(args[1], _VECTOR.as_pointer()), align=1)
        builder.store(loaded, builder.inttoptr(args[0], _VECTOR.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fill_64(typing_context: Any, target: Any, byte: Any) -> Any:
    """Store one byte 64 times, as one vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, builder.trunc(args[1], _INT8), ir.Constant(_INT32, 0))
        splat = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, 64), [0] * 64))
        builder.store(splat, builder.inttoptr(args[0], _VECTOR.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes; they may not overlap."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, origin, size = args
        cgutils.raw_memcpy(builder, builder.inttoptr(to, _POINTER), builder.inttoptr(origin, _POINTER), size, 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fill_bytes(typing_context: Any, target: Any, byte: Any, count: Any) -> Any:
    """Store one byte ``count`` times."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, value, size = args
        fill = builder.module.declare_intrinsic("llvm.memset", [_POINTER, _INT64])
        volatile = ir.Constant(ir.IntType(1), 0)
        builder.call(fill, [builder.inttoptr(to, _POINTER), builder.trunc(value, _INT8), size, volatile])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def expect_write(typing_context: Any, address: Any) -> Any:
    """Have the processor fetch the 64 bytes around an address, which will soon be written; any address may be given."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _INT32, _INT32, _INT32])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
        write, keep, data = (ir.Constant(_INT32, value) for value in (1, 3, 1))
        builder.call(prefetch, [builder.inttoptr(args[0], _POINTER), write, keep, data])
        return context.get_dummy_value()

    return types.void(types.intp), generate
