"""The chunk codecs: what one HDF5 filter writes and reads, done on the caller's buffers.

Each codec produces exactly the bytes that its HDF5 filter plug-in decodes, and decodes whatever the plug-in writes.
Decoding is safe on damaged input: it raises CacheError and never touches memory outside the buffers.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .native import function

Buffer = NDArray[np.uint8]

CODECS = ("lz4", "zstd", "bitshuffle-lz4", "none")
MAX_CHUNK_BYTES = 2**31 - 1  # the LZ4 filter takes no more, and HDF5's own limit is 4 GB

# On residual frames, twice the speed of LZ4's default of 1 for a sixth more bytes: benchmarks/compression.py.
LZ4_ACCELERATION = 32
ZSTD_LEVEL = 1

_LZ4_BLOCK_BYTES = 1 << 30  # the filter's own default
_FRAME = struct.Struct(">QI")  # bytes of the chunk, bytes of a block: LZ4 and bitshuffle frame alike
_BLOCK = struct.Struct(">I")  # compressed bytes of the block that follows


class Codec(Protocol):
    """Buffers are one-dimensional, contiguous uint8 arrays."""

    @property
    def hdf5_filter(self) -> tuple[int, tuple[int, ...]] | None:
        """HDF5's number of the filter and the options given when a dataset is made; None for no filter."""

    def bound(self, num_bytes: int) -> int:
        """Bytes that ``encode`` may need for ``num_bytes``."""

    def encode(self, src: Buffer, dst: Buffer) -> int:
        """Compress ``src`` into the start of ``dst`` (at least ``bound(src.size)`` bytes); returns the bytes used."""

    def decode(self, src: Buffer, dst: Buffer) -> None:
        """Fill ``dst`` exactly from the compressed chunk ``src``, or raise CacheError."""


def make_codec(name: str, itemsize: int) -> Codec:
    """A codec for elements of ``itemsize`` bytes. Codecs hold no state: one serves all threads.

    Raises
    ------
    UsageError
        No codec has this name.
    """
    if name == "lz4":
        return Lz4()
    if name == "zstd":
        return Zstd()
    if name == "bitshuffle-lz4":
        return BitshuffleLz4(itemsize)
    if name == "none":
        return Stored()
    raise UsageError(f"codec {name!r} is unknown; choose one of {', '.join(CODECS)}")


class Stored:
    """No compression."""

    hdf5_filter = None

    def bound(self, num_bytes: int) -> int:
        return num_bytes

    def encode(self, src: Buffer, dst: Buffer) -> int:
        dst[: src.size] = src
        return src.size

    def decode(self, src: Buffer, dst: Buffer) -> None:
        if src.size != dst.size:
            raise CacheError(f"chunk holds {src.size} bytes, not {dst.size}")
        dst[:] = src


class Lz4:
    """HDF5 filter 32004: a frame header, then blocks, each raw when it does not shrink."""

    hdf5_filter = (32004, (0,))

    def bound(self, num_bytes: int) -> int:
        blocks = -(-num_bytes // _LZ4_BLOCK_BYTES)
        return _FRAME.size + blocks * (_BLOCK.size + int(_lz4().bound(min(num_bytes, _LZ4_BLOCK_BYTES))))

    def encode(self, src: Buffer, dst: Buffer) -> int:
        assert 0 < src.size <= MAX_CHUNK_BYTES
        assert dst.size >= self.bound(src.size)
        lz4 = _lz4()
        source, target = src.ctypes.data, dst.ctypes.data
        block_bytes = min(src.size, _LZ4_BLOCK_BYTES)
        _FRAME.pack_into(dst.data, 0, src.size, block_bytes)
        end = _FRAME.size
        for start in range(0, src.size, block_bytes):
            size = min(block_bytes, src.size - start)
            body = end + _BLOCK.size
            # Giving it one byte less than the block makes LZ4 stop as soon as the block turns out not to shrink.
            used = lz4.compress(source + start, target + body, size, size - 1, LZ4_ACCELERATION)
            if used <= 0:
                used = size
                dst[body : body + size] = src[start : start + size]
            _BLOCK.pack_into(dst.data, end, used)
            end = body + used
        return end

    def decode(self, src: Buffer, dst: Buffer) -> None:
        block_bytes = _check_frame(src, dst)
        lz4 = _lz4()
        source, target = src.ctypes.data, dst.ctypes.data
        start, end = 0, _FRAME.size
        while start < dst.size:
            size = min(block_bytes, dst.size - start)
            body, used = _next_block(src, end)
            if used == size:
                dst[start : start + size] = src[body : body + size]
            elif lz4.decompress(source + body, target + start, used, size) != size:
                raise CacheError("LZ4 data of the chunk is damaged")
            start += size
            end = body + used
        _check_end(src, end)


class Zstd:
    """HDF5 filter 32015: one Zstandard frame that states its content size."""

    hdf5_filter = (32015, (ZSTD_LEVEL,))

    def bound(self, num_bytes: int) -> int:
        return int(_zstd().bound(num_bytes))

    def encode(self, src: Buffer, dst: Buffer) -> int:
        zstd = _zstd()
        used = zstd.compress(
            zstd.contexts().compression, dst.ctypes.data, dst.size, src.ctypes.data, src.size, ZSTD_LEVEL
        )
        if zstd.is_error(used):  # only memory can be short: the bound was given
            raise MemoryError("Zstandard found no memory to compress a chunk")
        return int(used)

    def decode(self, src: Buffer, dst: Buffer) -> None:
        zstd = _zstd()
        size = zstd.decompress(zstd.contexts().decompression, dst.ctypes.data, dst.size, src.ctypes.data, src.size)
        if zstd.is_error(size) or size != dst.size:
            raise CacheError("Zstandard data of the chunk is damaged")


class BitshuffleLz4:
    """HDF5 filter 32008 with LZ4: bits of equal weight side by side, in blocks of 8 kB."""

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize

    @property
    def hdf5_filter(self) -> tuple[int, tuple[int, ...]]:
        return 32008, (0, 2)  # default block size, LZ4

    def bound(self, num_bytes: int) -> int:
        return _FRAME.size + int(_bitshuffle().bound(num_bytes // self._itemsize, self._itemsize, 0))

    def encode(self, src: Buffer, dst: Buffer) -> int:
        assert src.size % self._itemsize == 0
        assert dst.size >= self.bound(src.size)
        shuffle = _bitshuffle()
        block = int(shuffle.default_block(self._itemsize))
        _FRAME.pack_into(dst.data, 0, src.size, block * self._itemsize)
        used = shuffle.compress(
            src.ctypes.data, dst.ctypes.data + _FRAME.size, src.size // self._itemsize, self._itemsize, block
        )
        if used < 0:
            raise MemoryError("bitshuffle found no memory to compress a chunk")
        return _FRAME.size + int(used)

    def decode(self, src: Buffer, dst: Buffer) -> None:
        block_bytes = _check_frame(src, dst)
        if block_bytes % (8 * self._itemsize):
            raise CacheError("bitshuffle header of the chunk is damaged")
        # The library trusts the sizes inside the data, so they are walked through first.
        shuffled = dst.size - dst.size % (8 * self._itemsize)
        end = _FRAME.size
        for _ in range(-(-shuffled // block_bytes)):
            body, used = _next_block(src, end)
            end = body + used
        _check_end(src, end + dst.size - shuffled)
        read = _bitshuffle().decompress(
            src.ctypes.data + _FRAME.size,
            dst.ctypes.data,
            dst.size // self._itemsize,
            self._itemsize,
            block_bytes // self._itemsize,
        )
        if read != src.size - _FRAME.size:
            raise CacheError("bitshuffle data of the chunk is damaged")


def _check_frame(src: Buffer, dst: Buffer) -> int:
    """Bytes of a block, as the header of a framed chunk tells."""
    if src.size < _FRAME.size:
        raise CacheError(f"chunk of {src.size} bytes is too short for its header")
    size, block_bytes = _FRAME.unpack_from(src.data, 0)
    if size != dst.size or block_bytes == 0:
        raise CacheError(f"chunk holds {size} bytes in blocks of {block_bytes}, not {dst.size} bytes")
    return int(block_bytes)


def _next_block(src: Buffer, start: int) -> tuple[int, int]:
    """Where the data of the block at ``start`` begins, and how many bytes it has."""
    body = start + _BLOCK.size
    used = int(_BLOCK.unpack_from(src.data, start)[0]) if body <= src.size else 0
    if used == 0 or body + used > src.size:
        raise CacheError("a block reaches beyond its chunk")
    return body, used


def _check_end(src: Buffer, end: int) -> None:
    if end != src.size:
        raise CacheError(f"chunk has {src.size} bytes where its blocks end after {end}")


class _Lz4Library:
    def __init__(self) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_int
        self.bound = function("h5lz4", "LZ4_compressBound", size, size)
        self.compress = function("h5lz4", "LZ4_compress_fast", size, pointer, pointer, size, size, size)
        self.decompress = function("h5lz4", "LZ4_decompress_safe", size, pointer, pointer, size, size)


class _ZstdLibrary:
    def __init__(self) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self.bound = function("h5zstd", "ZSTD_compressBound", size, size)
        self.is_error = function("h5zstd", "ZSTD_isError", ctypes.c_uint, size)
        self.compress = function(
            "h5zstd", "ZSTD_compressCCtx", size, pointer, pointer, size, pointer, size, ctypes.c_int
        )
        self.decompress = function("h5zstd", "ZSTD_decompressDCtx", size, pointer, pointer, size, pointer, size)
        self._thread = threading.local()

    def contexts(self) -> _ZstdContexts:
        """Contexts of the calling thread: they hold Zstandard's working memory, and no two threads may share one."""
        found: _ZstdContexts | None = getattr(self._thread, "contexts", None)
        if found is None:
            found = self._thread.contexts = _ZstdContexts()
        return found


class _ZstdContexts:
    def __init__(self) -> None:
        pointer = ctypes.c_void_p
        self._free_compression = function("h5zstd", "ZSTD_freeCCtx", ctypes.c_size_t, pointer)
        self._free_decompression = function("h5zstd", "ZSTD_freeDCtx", ctypes.c_size_t, pointer)
        self.compression: int | None = function("h5zstd", "ZSTD_createCCtx", pointer)()
        self.decompression: int | None = function("h5zstd", "ZSTD_createDCtx", pointer)()
        if not self.compression or not self.decompression:
            raise MemoryError("Zstandard found no memory for its contexts")

    def __del__(self) -> None:
        self._free_compression(self.compression)  # both accept NULL
        self._free_decompression(self.decompression)


class _BitshuffleLibrary:
    def __init__(self) -> None:
        pointer, size, result = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
        self.bound = function("h5bshuf", "bshuf_compress_lz4_bound", size, size, size, size)
        self.default_block = function("h5bshuf", "bshuf_default_block_size", size, size)
        self.compress = function("h5bshuf", "bshuf_compress_lz4", result, pointer, pointer, size, size, size)
        self.decompress = function("h5bshuf", "bshuf_decompress_lz4", result, pointer, pointer, size, size, size)


@cache
def _lz4() -> Any:
    return _Lz4Library()


@cache
def _zstd() -> Any:
    return _ZstdLibrary()


@cache
def _bitshuffle() -> Any:
    return _BitshuffleLibrary()
