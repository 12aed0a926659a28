"""Vectors of 16 floats with operators, to write an LLVM kernel as its formula.

The loops of TV-L1 read and write some ten planes at once: too many for LLVM to prove, or to test at run time, that
they do not overlap, so that it would not vectorise them. Written on vectors there is nothing to prove.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16

FLOAT = ir.FloatType()
INT32 = ir.IntType(32)
_VECTOR = ir.VectorType(FLOAT, LANES)


class Lanes:
    """A ``<16 x float>`` value with arithmetic; floats stand for the same value in every lane.

    Every operation is rounded as IEEE 754 says, and none are joined but by ``times_plus``: the same numbers in every
    loop and on every processor.
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def of(self, other: Lanes | float) -> Lanes:
        """Turn a Python number into lanes."""
        if isinstance(other, Lanes):
            return other
        return Lanes(self.builder, ir.Constant(_VECTOR, [float(other)] * LANES))

    def __add__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, self.of(other).value))

    def __sub__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, self.of(other).value))

    def __mul__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fmul(self.value, self.of(other).value))

    def times_plus(self, factor: Lanes | float, term: Lanes | float) -> Lanes:
        """Return ``self * factor + term``, rounded once."""
        return self._call("llvm.fma", self.of(factor), self.of(term))

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, self.of(other).value))

    def __neg__(self) -> Lanes:
        return self.of(0.0) - self

    def less(self, other: Lanes | float) -> Any:
        """Return ``self < other`` as a vector of bits, for ``where`` and ``&``."""
        return self.builder.fcmp_ordered("<", self.value, self.of(other).value)

    def differs(self, other: Lanes | float) -> Any:
        """Return ``self != other`` as a vector of bits."""
        return self.builder.fcmp_unordered("!=", self.value, self.of(other).value)

    def where(self, mask: Any, other: Lanes | float) -> Lanes:
        """Keep the lanes where ``mask`` is set and take ``other`` elsewhere."""
        return Lanes(self.builder, self.builder.select(mask, self.value, self.of(other).value))

    def minimum(self, other: Lanes | float) -> Lanes:
        return self.where(self.less(other), other)

    def maximum(self, other: Lanes | float) -> Lanes:
        return self.where(self.of(other).less(self), other)

    def clamp(self, low: Lanes | float, high: Lanes | float) -> Lanes:
        return self.maximum(low).minimum(high)

    def sqrt(self) -> Lanes:
        return self._call("llvm.sqrt")

    def floor(self) -> Lanes:
        return self._call("llvm.floor")

    def _call(self, name: str, *others: Lanes) -> Lanes:
        operands = [self.value, *(other.value for other in others)]
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(operands))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.v{LANES}f32")
        return Lanes(self.builder, self.builder.call(function, operands))

    def integers(self) -> list[Any]:
        """Convert to 16 scalar 32-bit integers, towards zero."""
        vector = self.builder.fptosi(self.value, ir.VectorType(INT32, LANES))
        return [self.builder.extract_element(vector, ir.Constant(INT32, i)) for i in range(LANES)]

    def sum(self) -> Any:
        """Add the lanes up to one scalar float, halves upon halves."""
        vector, count = self.value, LANES
        while count > 1:
            count //= 2
            halves = [
                self.builder.shuffle_vector(vector, vector, _mask(range(first, first + count))) for first in (0, count)
            ]
            vector = self.builder.fadd(*halves)
        return self.builder.extract_element(vector, ir.Constant(INT32, 0))


class Memory:
    """A C-contiguous float32 array behind flat indices, for loads and stores of lanes without bounds checks."""

    __slots__ = ("_builder", "_data", "_index")

    def __init__(self, context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> None:
        self._builder = builder
        self._data = context.make_array(array_type)(context, builder, array).data
        self._index = index

    def _pointer(self, offset: Any, kind: Any) -> Any:
        offset = ir.Constant(self._index.type, offset) if isinstance(offset, int) else offset
        pointer = self._builder.gep(self._data, [self._builder.add(self._index, offset)])
        return self._builder.bitcast(pointer, kind.as_pointer())

    def load(self, offset: Any) -> Lanes:
        """Load the 16 floats at the memory's index plus ``offset``."""
        return Lanes(self._builder, self._builder.load(self._pointer(offset, _VECTOR), align=4))

    def load_four(self, offset: Any) -> Any:
        """Load ``<4 x float>``."""
        return self._builder.load(self._pointer(offset, ir.VectorType(FLOAT, 4)), align=4)

    def store(self, lanes: Lanes, offset: Any) -> None:
        self._builder.store(lanes.value, self._pointer(offset, _VECTOR), align=4)

    def add_scalar(self, value: Any, offset: Any) -> None:
        """Add a scalar float to the one in memory."""
        pointer = self._pointer(offset, FLOAT)
        self._builder.store(self._builder.fadd(self._builder.load(pointer, align=4), value), pointer, align=4)


def splat(builder: Any, scalar: Any) -> Lanes:
    """Put a scalar float into every lane."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
    return Lanes(builder, builder.shuffle_vector(first, undefined, _mask([0] * LANES)))


def counted_from(builder: Any, first: Any) -> Lanes:
    """Return ``first, first + 1, ...`` as floats, of an integer ``first``."""
    steps = Lanes(builder, ir.Constant(_VECTOR, [float(i) for i in range(LANES)]))
    return steps + (float(first) if isinstance(first, int) else splat(builder, builder.sitofp(first, FLOAT)))


def four_by_four(builder: Any, quads: Sequence[Any]) -> list[Lanes]:
    """Turn 16 vectors of four floats into four vectors of 16: item ``t`` holds the ``t``-th floats of all."""

    def joined(parts: list[Any]) -> Any:
        while len(parts) > 1:
            size = 2 * parts[0].type.count
            parts = [
                builder.shuffle_vector(parts[i], parts[i + 1], _mask(range(size))) for i in range(0, len(parts), 2)
            ]
        return parts[0]

    # Vector q holds the quads q, q + 4, q + 8, q + 12, so that transposing stays inside groups of four lanes.
    rows = [joined([quads[q + 4 * group] for group in range(4)]) for q in range(4)]
    low = _mask([4 * group + i // 2 + (LANES if i % 2 else 0) for group in range(4) for i in range(4)])
    high = _mask([4 * group + 2 + i // 2 + (LANES if i % 2 else 0) for group in range(4) for i in range(4)])
    for _ in range(2):
        rows = [builder.shuffle_vector(rows[i // 2], rows[i // 2 + 2], high if i % 2 else low) for i in range(4)]
    return [Lanes(builder, row) for row in rows]


def _mask(indices: Any) -> Any:
    numbers = list(indices)
    return ir.Constant(ir.VectorType(INT32, len(numbers)), numbers)
