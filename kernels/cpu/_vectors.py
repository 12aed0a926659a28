"""Words to write LLVM vector code with: what the kernels of matching and warping have in common.

``builder`` is llvmlite's; values and pointers are LLVM's, unless they say otherwise. Vectors begin anywhere in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._simd import _pointer as pointer_to

__all__ = [
    "BIT", "FLOAT", "INT32", "INT64", "call", "fetch", "fetch_to_write", "integers", "larger", "load", "moved",
    "pointer_to", "reals", "shuffle", "splat", "store",
]  # fmt: skip

BIT, INT32, INT64, FLOAT = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType()


def reals(value: float, lanes: int) -> Any:
    """Return a constant vector of floats."""
    return ir.Constant(ir.VectorType(FLOAT, lanes), [value] * lanes)


def integers(value: int, lanes: int) -> Any:
    """Return a constant vector of 32-bit integers."""
    return ir.Constant(ir.VectorType(INT32, lanes), [value] * lanes)


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Pick lanes of two vectors; those of ``b`` are counted on from those of ``a``."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """Return a vector with a scalar in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    return shuffle(builder, builder.insert_element(undefined, scalar, INT32(0)), undefined, [0] * lanes)


def call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic, such as ``fmuladd``, on vectors of floats."""
    vector = args[0].type
    function_type = ir.FunctionType(vector, [vector] * len(args))
    full_name = f"llvm.{name}.v{vector.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full_name), args)


def larger(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of two vectors of floats: one instruction, as what becomes of NaN does not matter."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def moved(builder: Any, pointer: Any, steps: Any, stride: Any = None) -> Any:
    """Return ``pointer + steps * stride``; ``steps`` may be a Python integer."""
    index = INT64(steps) if isinstance(steps, int) else steps
    return builder.gep(pointer, [index if stride is None else builder.mul(index, stride)])


def load(builder: Any, pointer: Any, kind: Any, offset: int = 0) -> Any:
    """Load a value of type ``kind``, ``offset`` elements past ``pointer``."""
    place = moved(builder, pointer, offset) if offset else pointer
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=4)


def store(builder: Any, value: Any, pointer: Any, offset: int = 0) -> None:
    """Store a value ``offset`` elements past ``pointer``."""
    place = moved(builder, pointer, offset) if offset else pointer
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)


def prefetch(builder: Any, pointer: Any, *, writing: bool = False) -> None:
    """Ask for the cache line at ``pointer`` and do not wait for it."""
    hints = (1, 3, 1) if writing else (0, 2, 1)  # to write, into L1; to read, into L2
    place = builder.bitcast(pointer, cgutils.voidptr_t)
    function_type = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [place, *(INT32(hint) for hint in hints)])


@intrinsic  # type: ignore[untyped-decorator]
def address_of(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the address of an element as an integer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(pointer_to(context, builder, array, *args), INT64)

    return types.intp(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def borrowed(typing_context: Any, array: Any) -> Any:
    """Return an array whose references Numba does not count: the caller keeps it alive.

    Counts are atomic, and kept for every view and every argument of what is compiled into its caller.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(array)(context, builder, args[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        return view._getvalue()

    return array(array), generate


def _prefetch(writing: bool) -> Callable[..., None]:
    """Make ``fetch(samples, index)``: ask for the cache line of ``samples[index]`` and do not wait for it."""

    @intrinsic  # type: ignore[untyped-decorator]
    def fetch(typing_context: Any, samples: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            prefetch(builder, pointer_to(context, builder, samples, *args), writing=writing)
            return context.get_dummy_value()

        return types.void(samples, types.intp), generate

    return fetch  # type: ignore[no-any-return]


fetch = _prefetch(writing=False)
fetch_to_write = _prefetch(writing=True)
