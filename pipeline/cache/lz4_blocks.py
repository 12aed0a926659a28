"""LZ4 blocks decoded: any, and those that ``runs`` writes, literals and repeats of the last one, without a guess.

A general decoder branches on whether a length is short, twice a sequence, and the processor guesses wrong about every
other time: on bit planes as many lengths need a further byte as do not. Here that byte is read in any case, and counts
or not by arithmetic; 64 bytes are copied and 64 filled in any case, and what was too much is written over by the next
sequence. Longer ones, other matches, and the ends of the block are done one by one, with all checks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .byte_access import byte_at, copy_64, copy_bytes, expect_write, fill_64, fill_bytes, little_endian_16, put_byte

_AT_ONCE = 64
_LEAST_MATCH = 4
_MOST_READ = 288  # by a sequence in one go: token, both further bytes, 15 + 255 literals, offset; rounded up
_MOST_WRITTEN = 2 * _AT_ONCE


@njit(nogil=True, cache=True)
def decode_lz4(source, size, target, capacity, next_written):  # type: ignore[no-untyped-def]
    """Decode the block of ``size`` bytes at address ``source``, which must give just ``capacity`` bytes at ``target``.

    Whatever the block holds, nothing outside of the two is read or written.

    Parameters
    ----------
    next_written
        Where the caller is going to write next, 64 bytes a sequence or more: meanwhile that is fetched. Decoding hardly
        uses the memory, and what is written to does not come from the processor's cache by itself. Any address.

    Returns
    -------
    bool
        False if it is no such block.
    """
    end, stop = source + size, target + capacity
    place, out = source, target
    while True:
        while place <= end - _MOST_READ and out <= stop - _MOST_WRITTEN:
            token = byte_at(place)
            literals = token >> 4
            further = (literals + 1) >> 4  # 1 if it is 15
            literals += byte_at(place + 1) & -further
            begin = place + 1 + further
            match = begin + literals
            repeats = token & 15
            further = (repeats + 1) >> 4
            repeats += _LEAST_MATCH + (byte_at(match + 2) & -further)
            # No literals at all become the largest number.
            if np.uint64(literals - 1) >= np.uint64(_AT_ONCE) or repeats > _AT_ONCE or little_endian_16(match) != 1:
                break
            copy_64(out, begin)
            out += literals
            fill_64(out, byte_at(match - 1))
            out += repeats
            place = match + 2 + further
            expect_write(next_written)
            next_written += _AT_ONCE
        if place >= end:
            return False
        token = byte_at(place)
        place, literals = _length(place + 1, end, token >> 4)
        if literals > end - place or literals > stop - out:
            return False
        copy_bytes(out, place, literals)
        place, out = place + literals, out + literals
        if place == end:
            return out == stop
        if end - place < 2:
            return False
        back = little_endian_16(place)
        if not 0 < back <= out - target:
            return False
        place, repeats = _length(place + 2, end, token & 15)
        repeats += _LEAST_MATCH
        if repeats > stop - out:
            return False
        if back == 1:
            fill_bytes(out, byte_at(out - 1), repeats)
        else:
            for i in range(repeats):
                put_byte(out + i, byte_at(out + i - back))
        out += repeats


@njit(nogil=True, cache=True)
def _length(place, end, length):  # type: ignore[no-untyped-def]
    """A length of which a token says ``length``, and the address behind it; ``end`` if the block ends before."""
    if length < 15:
        return place, length
    while place < end:
        further = byte_at(place)
        place, length = place + 1, length + further
        if further < 255:
            return place, length
    return end, np.int64(1) << 62
