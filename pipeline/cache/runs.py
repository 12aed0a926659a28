"""LZ4 blocks that know one thing only: a byte repeated.

On bit planes nearly everything that LZ4 finds are runs, and finding runs alone takes a comparison of 64 bytes with
their neighbours where LZ4 hashes and probes every few bytes. What comes out is plain LZ4: any decoder reads it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .byte_access import copy_64, put_byte

MARGIN = 64
"""Bytes after a block and after the room for its code that ``encode_runs`` may read and write over."""

_LEAST = 8  # repeats that are worth a sequence: it takes at least 3 bytes, and time to decode
_LAST_LITERALS, _LAST_MATCH = 5, 12  # LZ4: so many bytes at the end are literals, and so many begin no match
_ALL = 0xFFFFFFFFFFFFFFFF


@intrinsic  # type: ignore[untyped-decorator]
def _repeats(typing_context: Any, address: Any) -> Any:
    """Which of the 64 bytes at ``address`` equal the byte before, the first one in the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.VectorType(ir.IntType(8), 64).as_pointer()
        these = builder.load(builder.inttoptr(args[0], pointer), align=1)
        before = builder.sub(args[0], ir.Constant(args[0].type, 1))
        return builder.bitcast(
            builder.icmp_unsigned("==", these, builder.load(builder.inttoptr(before, pointer), align=1)), ir.IntType(64)
        )

    return types.uint64(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@njit(nogil=True, cache=True)
def _put_rest(out, count):  # type: ignore[no-untyped-def]
    """The part of a length that its four bits in the token could not hold; returns the address behind it."""
    count -= 15
    while count >= 255:
        put_byte(out, 255)
        out, count = out + 1, count - 255
    put_byte(out, count)
    return out + 1


@njit(nogil=True, cache=True)
def _put_sequence(source, literals, repeats, out):  # type: ignore[no-untyped-def]
    """``literals`` bytes as they are, then, unless it is 0, the last one ``repeats`` times more."""
    more = repeats - 4
    put_byte(out, (min(literals, 15) << 4) | (min(more, 15) if repeats else 0))
    out += 1
    if literals >= 15:
        out = _put_rest(out, literals)
    copy_64(out, source)  # nearly always all of it, and without a branch
    for i in range(64, literals, 64):
        copy_64(out + i, source + i)
    out += literals
    if repeats:
        put_byte(out, 1)  # as far back the match lies, in two bytes
        put_byte(out + 1, 0)
        out += 2
        if more >= 15:
            out = _put_rest(out, more)
    return out


@njit(nogil=True, cache=True)
def encode_runs(source, size, target):  # type: ignore[no-untyped-def]
    """Write the ``size`` bytes at address ``source`` as an LZ4 block to ``target``.

    Returns
    -------
    int
        Bytes of the block, or 0 if it would not be smaller than ``size``. No byte behind ``target + size + MARGIN``
        is touched.
    """
    out, room = target, target + size - 1
    anchor, pos = 0, 1  # first byte not yet written, first byte looked at
    while pos + 64 <= size:
        same = _repeats(source + pos)
        begins = same & (same >> types.uint64(1))
        begins &= begins >> types.uint64(2)
        begins &= begins >> types.uint64(4)  # bits at which eight in a row begin
        while begins:
            first = _trailing_zeros(begins)
            start = pos + types.intp(first)
            stop = start + types.intp(min(_trailing_zeros(~(same >> first)), types.uint64(64) - first))
            if stop == pos + 64:
                while stop + 64 <= size:
                    more = _repeats(source + stop)
                    if more != types.uint64(_ALL):
                        stop += types.intp(_trailing_zeros(~more))
                        break
                    stop += 64
            stop = min(stop, size - _LAST_LITERALS)
            if start > size - _LAST_MATCH:
                break
            literals, repeats = start - anchor, stop - start
            if out + literals + literals // 255 + repeats // 255 + 8 > room:
                return 0
            out = _put_sequence(source + anchor, literals, repeats, out)
            anchor = stop
            if stop >= pos + 64:
                break
            begins &= types.uint64(_ALL) << types.uint64(stop - pos)
        # A run may begin in the last seven bytes. By a constant: the processor need not wait for this word's runs.
        pos += 64 - (_LEAST - 1)
        if anchor > pos:  # seldom: behind a long run
            pos = anchor
    literals = size - anchor
    if out + literals + literals // 255 + 2 > room:
        return 0
    return _put_sequence(source + anchor, literals, 0, out) - target
