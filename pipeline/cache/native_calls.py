"""What compiled code asks of the world outside: C functions by their address, and a counter that threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INT8, _INT32, _INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = _INT8.as_pointer()


def _code(result: Any, *parameters: Any) -> Callable[..., Any]:
    """The code of a call: an address, then integers and addresses, all as 64-bit integers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, *values = args
        converted = [_convert(builder, value, kind) for value, kind in zip(values, parameters, strict=True)]
        kind = ir.FunctionType(result or _INT32, parameters).as_pointer()
        found = builder.call(builder.inttoptr(address, kind), converted)
        return context.get_dummy_value() if result is None else found

    return generate


def _convert(builder: Any, value: Any, kind: Any) -> Any:
    if kind == _POINTER:
        return builder.inttoptr(value, kind)
    return builder.trunc(value, kind) if kind == _INT32 else value


@intrinsic  # type: ignore[untyped-decorator]
def call_pread(typing_context: Any, function: Any, file: Any, target: Any, size: Any, offset: Any) -> Any:
    """``ssize_t pread(int file, void *target, size_t size, off_t offset)``"""
    return types.intp(*[types.intp] * 5), _code(_INT64, _INT32, _POINTER, _INT64, _INT64)


@intrinsic  # type: ignore[untyped-decorator]
def call_fadvise(typing_context: Any, function: Any, file: Any, offset: Any, size: Any, advice: Any) -> Any:
    """``int posix_fadvise(int file, off_t offset, off_t size, int advice)``, without its result"""
    return types.void(*[types.intp] * 5), _code(None, _INT32, _INT64, _INT64, _INT32)


@intrinsic  # type: ignore[untyped-decorator]
def call_getrusage(typing_context: Any, function: Any, who: Any, target: Any) -> Any:
    """``int getrusage(int who, struct rusage *target)``, without its result"""
    return types.void(*[types.intp] * 3), _code(None, _INT32, _POINTER)


@intrinsic  # type: ignore[untyped-decorator]
def call_zstd(
    typing_context: Any, function: Any, decompressor: Any, target: Any, capacity: Any, source: Any, size: Any
) -> Any:
    """``size_t ZSTD_decompressDCtx(context, void *target, size_t capacity, const void *source, size_t size)``"""
    return types.intp(*[types.intp] * 6), _code(_INT64, _POINTER, _POINTER, _INT64, _POINTER, _INT64)


@intrinsic  # type: ignore[untyped-decorator]
def call_xxh64(typing_context: Any, function: Any, data: Any, size: Any, seed: Any) -> Any:
    """``uint64_t XXH64(const void *data, size_t size, uint64_t seed)``"""
    return types.intp(*[types.intp] * 4), _code(_INT64, _POINTER, _INT64, _INT64)


@intrinsic  # type: ignore[untyped-decorator]
def take_next(typing_context: Any, address: Any) -> Any:
    """Add 1 to the 64-bit counter at an address, which threads share, and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = builder.inttoptr(args[0], _INT64.as_pointer())
        return builder.atomic_rmw("add", counter, ir.Constant(_INT64, 1), "monotonic")

    return types.intp(types.intp), generate
