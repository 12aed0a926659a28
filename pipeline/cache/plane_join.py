"""Elements out of 8 or 16 bytes of each bit plane, as vectors.

Either the plane's bits are masks: each adds its weight to 64 elements. Or, where a processor multiplies matrices of
bits (GFNI, with AVX-512's permutation of bytes), a byte of each of eight planes is such a matrix, whose transpose are
eight elements: a third of the instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

ITEM_SIZES = (1, 2, 4)
"""Bytes of an element for which there is code."""

_INT8, _INT32 = ir.IntType(8), ir.IntType(32)
_BYTES = ir.VectorType(_INT8, 64)
_BITS = ir.VectorType(ir.IntType(1), 64)
_FEATURES = ("gfni", "avx512bw", "avx512vbmi")


def _has_bit_matrices() -> bool:
    found = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {f"+{feature}" for feature in _FEATURES} <= set(found.split(","))


BIT_MATRICES = _has_bit_matrices()
LANES = 128 if BIT_MATRICES else 64
"""Elements of ``join``."""


def _constant(vector: Any, values: list[int]) -> Any:
    return ir.Constant(vector, values)


def _lanes(indices: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_INT32, len(indices)), indices)


def _load(builder: Any, planes: Any, stride: Any, number: int, kind: Any) -> Any:
    address = builder.add(planes, builder.mul(stride, ir.Constant(stride.type, number)))
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _by_masks(builder: Any, planes: Any, stride: Any, shift: Any) -> list[Any]:
    """Bytes of 64 elements from eight planes, the first ``shift`` left out."""
    none, part = _constant(_BYTES, [0] * 64), _constant(_BYTES, [0] * 64)
    for bit in range(8):
        word = _load(builder, planes, stride, bit, ir.IntType(64))
        if shift is not None:
            word = builder.lshr(word, shift)
        weight = _constant(_BYTES, [1 << bit] * 64)
        part = builder.or_(part, builder.select(builder.bitcast(word, _BITS), weight, none))
    return [part]


def _by_matrices(builder: Any, planes: Any, stride: Any, shift: Any) -> list[Any]:
    """The same of 128 elements, as two vectors. The second is not shifted, but belongs ``shift`` elements earlier."""
    parts = [_load(builder, planes, stride, bit, ir.VectorType(_INT8, 16)) for bit in range(8)]
    while len(parts) > 2:
        both = _lanes(list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(parts[i], parts[i + 1], both) for i in range(0, len(parts), 2)]
    multiply = builder.module.declare_intrinsic(
        "llvm.x86.vgf2p8affineqb.512", (), ir.FunctionType(_BYTES, [_BYTES, _BYTES, _INT8])
    )
    units = _constant(_BYTES, [1 << (i % 8) for i in range(64)])
    found = []
    for half in range(2):
        # The instruction takes the matrix's rows from the last byte to the first.
        rows = _lanes([16 * (7 - i % 8) + 8 * half + i // 8 for i in range(64)])
        matrices = builder.shuffle_vector(*parts, rows)
        found.append(builder.call(multiply, [units, matrices, ir.Constant(_INT8, 0)]))
    if shift is not None:
        rotate = builder.module.declare_intrinsic(
            "llvm.x86.avx512.permvar.qi.512", (), ir.FunctionType(_BYTES, [_BYTES, _BYTES])
        )
        undefined = ir.Constant(_BYTES, ir.Undefined)
        first = builder.insert_element(undefined, builder.trunc(shift, _INT8), ir.Constant(_INT32, 0))
        distance = builder.shuffle_vector(first, undefined, _lanes([0] * 64))
        found[0] = builder.call(rotate, [found[0], builder.add(distance, _constant(_BYTES, list(range(64))))])
    return found


def make_join(itemsize: int, *, shifted: bool, matrices: bool) -> Callable[..., None]:
    """Make ``join(planes, stride, elements)``, or ``join(planes, stride, shift, elements)``.

    It joins the 64 elements, with ``matrices`` 128, of which 8 or 16 bytes of each plane begin at address ``planes``
    and every ``stride`` bytes behind. The first ``shift`` elements, 0 to 7, are left out, and as many at the end are
    anything.
    """
    emit = _by_matrices if matrices else _by_masks

    def generate(builder: Any, planes: Any, stride: Any, shift: Any, elements: Any) -> None:
        parts = []  # of each byte of the elements: its vectors
        for k in range(itemsize):
            first = builder.add(planes, builder.mul(stride, ir.Constant(stride.type, 8 * k)))
            parts.append(emit(builder, first, stride, shift))
        place = elements
        for vectors in zip(*parts, strict=True):
            whole = _interleaved(builder, list(vectors))
            builder.store(whole, builder.inttoptr(place, whole.type.as_pointer()), align=1)
            place = builder.add(place, ir.Constant(place.type, 64 * itemsize))
            if shift is not None:
                place = builder.sub(place, builder.mul(shift, ir.Constant(place.type, itemsize)))

    if shifted:

        @intrinsic  # type: ignore[untyped-decorator]
        def join_shifted(typing_context: Any, planes: Any, stride: Any, shift: Any, elements: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                generate(builder, *args)
                return context.get_dummy_value()

            return types.void(*[types.intp] * 4), code

        return join_shifted  # type: ignore[no-any-return]

    @intrinsic  # type: ignore[untyped-decorator]
    def join(typing_context: Any, planes: Any, stride: Any, elements: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            generate(builder, args[0], args[1], None, args[2])
            return context.get_dummy_value()

        return types.void(*[types.intp] * 3), code

    return join  # type: ignore[no-any-return]


def _interleaved(builder: Any, parts: list[Any]) -> Any:
    """Elements from the vectors of their bytes: the first half with the second, 0 2 | 1 3 to 0 1 2 3."""
    while len(parts) > 1:
        half, width = len(parts) // 2, parts[0].type.count
        mask = _lanes([i // 2 + (width if i % 2 else 0) for i in range(2 * width)])
        parts = [builder.shuffle_vector(parts[i], parts[i + half], mask) for i in range(half)]
    return parts[0]


_join_1, _join_2, _join_4 = (make_join(size, shifted=False, matrices=BIT_MATRICES) for size in ITEM_SIZES)
_shifted_1, _shifted_2, _shifted_4 = (make_join(size, shifted=True, matrices=BIT_MATRICES) for size in ITEM_SIZES)
_narrow_1, _narrow_2, _narrow_4 = (make_join(size, shifted=False, matrices=False) for size in ITEM_SIZES)


@njit(nogil=True, cache=True)
def join(planes, stride, itemsize, elements):  # type: ignore[no-untyped-def]
    """``LANES`` elements out of an eighth as many bytes of each plane, planes ``stride`` bytes apart."""
    if itemsize == 1:
        _join_1(planes, stride, elements)
    elif itemsize == 2:
        _join_2(planes, stride, elements)
    else:
        _join_4(planes, stride, elements)


@njit(nogil=True, cache=True)
def join_shifted(planes, stride, shift, itemsize, elements):  # type: ignore[no-untyped-def]
    """The same less the first ``shift`` elements, 0 to 7; as many at the end are anything."""
    if itemsize == 1:
        _shifted_1(planes, stride, shift, elements)
    elif itemsize == 2:
        _shifted_2(planes, stride, shift, elements)
    else:
        _shifted_4(planes, stride, shift, elements)


@njit(nogil=True, cache=True)
def join_64(planes, stride, itemsize, elements):  # type: ignore[no-untyped-def]
    """64 elements out of eight bytes of each plane."""
    if itemsize == 1:
        _narrow_1(planes, stride, elements)
    elif itemsize == 2:
        _narrow_2(planes, stride, elements)
    else:
        _narrow_4(planes, stride, elements)
