"""Bits of equal weight side by side: what the bitshuffle filter of HDF5 does to a block, as plain SIMD.

Small numbers leave their high bits zero, so the high planes of a residual or a displacement are long runs, which even
the simplest compressor takes. 64 elements are one vector: its 64 sign bits are 8 bytes of the highest plane, and
doubling the elements brings the next plane there. ``plane_join`` is the way back.

The functions take addresses and check nothing: callers keep blocks inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from ...kernels.cpu._simd import memory_at
from .plane_join import ITEM_SIZES, join, join_64
from .plane_join import LANES as JOINED

_LANES = 64
_INT8, _INT64 = ir.IntType(8), ir.IntType(64)
_BYTES = ir.VectorType(_INT8, _LANES)
_BITS = ir.VectorType(ir.IntType(1), _LANES)


def _plane_pointer(builder: Any, planes: Any, stride: Any, number: int) -> Any:
    address = builder.add(planes, builder.mul(stride, ir.Constant(stride.type, number)))
    return builder.inttoptr(address, _INT64.as_pointer())


def _lanes(indices: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), indices)


def _split(itemsize: int) -> Callable[..., None]:
    """Make ``split(elements, planes, stride)``: 64 elements to 8 bytes of each plane, planes ``stride`` bytes apart."""

    @intrinsic  # type: ignore[untyped-decorator]
    def split(typing_context: Any, elements: Any, planes: Any, stride: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, target, distance = args
            kind = ir.VectorType(_INT8, _LANES * itemsize)
            loaded = builder.load(builder.inttoptr(source, kind.as_pointer()), align=1)
            for k in range(itemsize):  # the elements' k-th bytes
                part = builder.shuffle_vector(loaded, loaded, _lanes([i * itemsize + k for i in range(_LANES)]))
                for bit in reversed(range(8)):
                    signs = builder.icmp_signed("<", part, ir.Constant(_BYTES, [0] * _LANES))
                    pointer = _plane_pointer(builder, target, distance, 8 * k + bit)
                    builder.store(builder.bitcast(signs, _INT64), pointer, align=1)
                    part = builder.add(part, part)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return split  # type: ignore[no-any-return]


_split_1, _split_2, _split_4 = (_split(itemsize) for itemsize in ITEM_SIZES)


@njit(nogil=True, cache=True)
def split_planes(elements, num_bytes, itemsize, planes):  # type: ignore[no-untyped-def]
    """Split the block at address ``elements`` into bit planes at ``planes``: the layout of HDF5 filter 32008.

    Plane ``p`` holds bit ``p`` of every element, eight elements a byte, the first one lowest. Elements after the last
    whole eight follow as they are.
    """
    eights = num_bytes // itemsize // 8
    whole = eights - eights % 8
    for first in range(0, whole, 8):
        source, target = elements + 8 * first * itemsize, planes + first
        if itemsize == 1:
            _split_1(source, target, eights)
        elif itemsize == 2:
            _split_2(source, target, eights)
        else:
            _split_4(source, target, eights)
    given = carray(memory_at(elements), num_bytes, types.uint8)
    wanted = carray(memory_at(planes), num_bytes, types.uint8)
    for group in range(whole, eights):
        for plane in range(8 * itemsize):
            value = 0
            for i in range(8):
                value |= ((given[(8 * group + i) * itemsize + plane // 8] >> (plane % 8)) & 1) << i
            wanted[plane * eights + group] = value
    for i in range(8 * eights * itemsize, num_bytes):
        wanted[i] = given[i]


@njit(nogil=True, cache=True)
def join_planes(planes, num_bytes, itemsize, elements):  # type: ignore[no-untyped-def]
    """Put the block that ``split_planes`` has split together again, at address ``elements``."""
    eights = num_bytes // itemsize // 8
    wide, whole = eights - eights % (JOINED // 8), eights - eights % 8
    for first in range(0, wide, JOINED // 8):
        join(planes + first, eights, itemsize, elements + 8 * first * itemsize)
    for first in range(wide, whole, 8):
        join_64(planes + first, eights, itemsize, elements + 8 * first * itemsize)
    given = carray(memory_at(planes), num_bytes, types.uint8)
    wanted = carray(memory_at(elements), num_bytes, types.uint8)
    for group in range(whole, eights):
        for i in range(8 * itemsize):  # the group's bytes
            value = 0
            for bit in range(8):
                value |= ((given[(8 * (i % itemsize) + bit) * eights + group] >> (i // itemsize)) & 1) << bit
            wanted[8 * group * itemsize + i] = value
    for i in range(8 * eights * itemsize, num_bytes):
        wanted[i] = given[i]
