"""Whole chunks to and from what HDF5's bitshuffle and LZ4 filters make of them, block by block, without the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from .bit_planes import join_planes, split_planes
from .lz4_blocks import decode_lz4
from .runs import MARGIN, encode_runs

HEADER_BYTES = 12  # bytes of the chunk (8) and of a block (4), both big-endian
BLOCK_HEADER_BYTES = 4  # bytes that follow, as many as the block itself if it is stored as it is


@njit(nogil=True, cache=True)
def _put_number(data, start, count, value):  # type: ignore[no-untyped-def]
    for i in range(count):
        data[start + i] = (value >> (8 * (count - 1 - i))) & 0xFF


@njit(nogil=True, cache=True)
def _number(data, start, count):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for i in range(count):
        value = (value << 8) | np.int64(data[start + i])
    return value


@njit(nogil=True, cache=True)
def encode_chunk(src, itemsize, block_bytes, dst):  # type: ignore[no-untyped-def]
    """Encode ``src`` into ``dst``, both uint8; returns the bytes used.

    ``dst`` must have room for ``src``, all headers and ``MARGIN`` bytes. The last block may be shorter.
    """
    planes = np.empty(min(block_bytes, src.size) + MARGIN, np.uint8)
    _put_number(dst, 0, 8, src.size)
    _put_number(dst, 8, 4, min(block_bytes, src.size))
    end = HEADER_BYTES
    for start in range(0, src.size, block_bytes):
        size = min(block_bytes, src.size - start)
        split_planes(src.ctypes.data + start, size, itemsize, planes.ctypes.data)
        body = end + BLOCK_HEADER_BYTES
        used = encode_runs(planes.ctypes.data, size, dst.ctypes.data + body)
        if used == 0:
            used = size
            dst[body : body + size] = planes[:size]
        _put_number(dst, end, BLOCK_HEADER_BYTES, used)
        end = body + used
    return end


@njit(nogil=True, cache=True)
def decode_chunk(src, itemsize, block_bytes, dst):  # type: ignore[no-untyped-def]
    """Fill ``dst`` from ``src``; False if that is damaged. Never touches memory outside of the two."""
    block_bytes = min(block_bytes, dst.size)
    if src.size < HEADER_BYTES or _number(src, 0, 8) != dst.size or _number(src, 8, 4) != block_bytes:
        return False
    planes = np.empty(block_bytes, np.uint8)
    end = HEADER_BYTES
    for start in range(0, dst.size, block_bytes):
        size = min(block_bytes, dst.size - start)
        body = end + BLOCK_HEADER_BYTES
        if body > src.size:
            return False
        used = _number(src, end, BLOCK_HEADER_BYTES)
        if not 0 < used <= size or body + used > src.size:
            return False
        data = src.ctypes.data + body
        if used != size:
            if not decode_lz4(data, used, planes.ctypes.data, size, dst.ctypes.data + start):
                return False
            data = planes.ctypes.data
        join_planes(data, size, itemsize, dst.ctypes.data + start)
        end = body + used
    return end == src.size


@njit(nogil=True, cache=True)
def split_blocks(src, itemsize, block_bytes, dst):  # type: ignore[no-untyped-def]
    """Split every block of ``src`` into bit planes, into ``dst`` of the same size."""
    for start in range(0, src.size, block_bytes):
        size = min(block_bytes, src.size - start)
        split_planes(src.ctypes.data + start, size, itemsize, dst.ctypes.data + start)


@njit(nogil=True, cache=True)
def join_blocks(src, itemsize, block_bytes, dst):  # type: ignore[no-untyped-def]
    """The inverse of ``split_blocks``."""
    for start in range(0, src.size, block_bytes):
        size = min(block_bytes, src.size - start)
        join_planes(src.ctypes.data + start, size, itemsize, dst.ctypes.data + start)
