"""What compiled code asks of the world outside: C functions by their address, and copies between addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT8, _INT32, _INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = _INT8.as_pointer()


def _c_function(result: Any, *parameters: Any) -> Callable[..., int]:
    """Make ``call(address, *arguments)`` for C functions of one signature; integers and pointers are intp."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, *values = args
        kind = ir.FunctionType(result, parameters).as_pointer()
        converted = [
            builder.inttoptr(value, parameter)
            if parameter == _POINTER
            else builder.trunc(value, parameter)
            if parameter == _INT32
            else value
            for value, parameter in zip(values, parameters, strict=True)
        ]
        found = builder.call(builder.inttoptr(address, kind), converted)
        return builder.sext(found, _INT64) if result == _INT32 else found

    if len(parameters) == 3:

        @intrinsic  # type: ignore[untyped-decorator]
        def call_3(typing_context: Any, function: Any, a: Any, b: Any, c: Any) -> Any:
            return types.intp(*[types.intp] * 4), generate

        return call_3  # type: ignore[no-any-return]
    if len(parameters) == 4:

        @intrinsic  # type: ignore[untyped-decorator]
        def call_4(typing_context: Any, function: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
            return types.intp(*[types.intp] * 5), generate

        return call_4  # type: ignore[no-any-return]

    @intrinsic  # type: ignore[untyped-decorator]
    def call_5(typing_context: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return types.intp(*[types.intp] * 6), generate

    return call_5  # type: ignore[no-any-return]


call_pread = _c_function(_INT64, _INT32, _POINTER, _INT64, _INT64)
"""``ssize_t pread(int file, void *target, size_t size, off_t offset)``"""

call_lz4 = _c_function(_INT32, _POINTER, _POINTER, _INT32, _INT32)
"""``int LZ4_decompress_safe(const char *source, char *target, int size, int capacity)``"""

call_zstd = _c_function(_INT64, _POINTER, _POINTER, _INT64, _POINTER, _INT64)
"""``size_t ZSTD_decompressDCtx(context, void *target, size_t capacity, const void *source, size_t size)``"""

call_xxh64 = _c_function(_INT64, _POINTER, _INT64, _INT64)
"""``uint64_t XXH64(const void *data, size_t size, uint64_t seed)``"""


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes between addresses; they may not overlap."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, origin, size = args
        cgutils.raw_memcpy(builder, builder.inttoptr(to, _POINTER), builder.inttoptr(origin, _POINTER), size, 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def big_endian_32(typing_context: Any, address: Any) -> Any:
    """The unsigned 32-bit number at an address, most significant byte first."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(builder.inttoptr(args[0], _INT32.as_pointer()), align=1)
        return builder.zext(builder.bswap(loaded), _INT64)

    return types.intp(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def take_next(typing_context: Any, address: Any) -> Any:
    """Add 1 to the 64-bit counter at an address, which threads share, and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = builder.inttoptr(args[0], _INT64.as_pointer())
        return builder.atomic_rmw("add", counter, ir.Constant(_INT64, 1), "monotonic")

    return types.intp(types.intp), generate
