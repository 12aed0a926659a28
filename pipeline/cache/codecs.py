"""The chunk codecs: what a pipeline of HDF5 filters writes and reads, done on the caller's buffers.

A chunk is first split into bit planes, a frame at a time (HDF5 filter 32008), then compressed with LZ4 (32004) or
Zstandard (32015). Each codec produces exactly the bytes that these filters decode, and decodes what they write with the
same options. Decoding is safe on damaged input: it raises CacheError and never touches memory outside the buffers.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .native import function

Buffer = NDArray[np.uint8]
Filters = tuple[tuple[int, tuple[int, ...]], ...]
"""HDF5's numbers of the filters, in the order of writing, with the options given when a dataset is made."""

CODECS = ("lz4", "zstd", "none")
MAX_CHUNK_BYTES = 2**31 - 1  # the LZ4 filter takes no more, and HDF5's own limit is 4 GB

ZSTD_LEVEL = 1

_BITSHUFFLE, _LZ4, _ZSTD = 32008, 32004, 32015
_EIGHT = 8  # elements of which a plane has a byte


class Codec(Protocol):
    """Buffers are one-dimensional, contiguous uint8 arrays."""

    @property
    def hdf5_filters(self) -> Filters:
        """The filters that do the same."""

    def bound(self, num_bytes: int) -> int:
        """Bytes that ``encode`` may need for ``num_bytes``."""

    def encode(self, src: Buffer, dst: Buffer) -> int:
        """Compress ``src`` into the start of ``dst`` (at least ``bound(src.size)`` bytes); returns the bytes used.

        What lies behind them in ``dst`` is undefined.
        """

    def decode(self, src: Buffer, dst: Buffer) -> None:
        """Fill ``dst`` exactly from the compressed chunk ``src``, or raise CacheError."""


def make_codec(name: str, itemsize: int, frame_items: int) -> Codec:
    """A codec for frames of ``frame_items`` elements of ``itemsize`` (1, 2 or 4) bytes.

    Codecs hold no state: one serves all threads.

    Raises
    ------
    UsageError
        No codec has this name.
    """
    if name == "lz4":
        return Lz4(itemsize, frame_items)
    if name == "zstd":
        return Zstd(itemsize, frame_items)
    if name == "none":
        return Stored()
    raise UsageError(f"codec {name!r} is unknown; choose one of {', '.join(CODECS)}")


class Stored:
    """No compression."""

    hdf5_filters: Filters = ()

    def bound(self, num_bytes: int) -> int:
        return num_bytes

    def encode(self, src: Buffer, dst: Buffer) -> int:
        dst[: src.size] = src
        return src.size

    def decode(self, src: Buffer, dst: Buffer) -> None:
        if src.size != dst.size:
            raise CacheError(f"chunk holds {src.size} bytes, not {dst.size}")
        dst[:] = src


class _PlaneCodec:
    """What the codecs on bit planes share: the block that is split together, and its filter."""

    def __init__(self, itemsize: int, frame_items: int) -> None:
        from . import plane_chunks  # here, because Numba takes half a second that not every command needs

        self._chunks = plane_chunks
        self._itemsize = itemsize
        self._block_items = _block_items(frame_items)
        self._block_bytes = self._block_items * itemsize
        self._shuffle = _BITSHUFFLE, (self._block_items, 0)


class Lz4(_PlaneCodec):
    """Bit planes, then LZ4: every frame a block of its own, raw when it does not shrink.

    Of what LZ4 can express only runs are written. On residual bit planes that is nearly as small as LZ4's own search
    gets, in a third of its time: benchmarks/compression.py.
    """

    @property
    def hdf5_filters(self) -> Filters:
        return self._shuffle, (_LZ4, (self._block_bytes,))

    def bound(self, num_bytes: int) -> int:
        blocks = -(-num_bytes // self._block_bytes)
        chunks = self._chunks
        headers = int(chunks.HEADER_BYTES) + blocks * int(chunks.BLOCK_HEADER_BYTES)
        return headers + num_bytes + int(chunks.MARGIN)

    def encode(self, src: Buffer, dst: Buffer) -> int:
        assert 0 < src.size <= MAX_CHUNK_BYTES
        assert dst.size >= self.bound(src.size)
        return int(self._chunks.encode_chunk(src, self._itemsize, self._block_bytes, dst))

    def decode(self, src: Buffer, dst: Buffer) -> None:
        if not self._chunks.decode_chunk(src, self._itemsize, self._block_bytes, dst):
            raise CacheError(f"LZ4 data of the chunk is damaged, or not {dst.size} bytes")


class Zstd(_PlaneCodec):
    """Bit planes, then one Zstandard frame that states its content size."""

    @property
    def hdf5_filters(self) -> Filters:
        return self._shuffle, (_ZSTD, (ZSTD_LEVEL,))

    def bound(self, num_bytes: int) -> int:
        return int(_zstd().bound(num_bytes))

    def encode(self, src: Buffer, dst: Buffer) -> int:
        zstd = _zstd()
        planes = np.empty_like(src)
        self._chunks.split_blocks(src, self._itemsize, self._block_bytes, planes)
        used = zstd.compress(
            zstd.contexts().compression, dst.ctypes.data, dst.size, planes.ctypes.data, planes.size, ZSTD_LEVEL
        )
        if zstd.is_error(used):  # only memory can be short: the bound was given
            raise MemoryError("Zstandard found no memory to compress a chunk")
        return int(used)

    def decode(self, src: Buffer, dst: Buffer) -> None:
        zstd = _zstd()
        planes = np.empty_like(dst)
        size = zstd.decompress(
            zstd.contexts().decompression, planes.ctypes.data, planes.size, src.ctypes.data, src.size
        )
        if zstd.is_error(size) or size != planes.size:
            raise CacheError("Zstandard data of the chunk is damaged")
        self._chunks.join_blocks(planes, self._itemsize, self._block_bytes, dst)


def zstd_addresses() -> tuple[int, int]:
    """Of ``ZSTD_decompressDCtx`` and of XXH64."""
    library = _zstd()
    return _address(library.decompress), _address(library.xxh64)


def zstd_context() -> int:
    """The calling thread's context of ``ZSTD_decompressDCtx``: it holds memory to work with."""
    address: int = _zstd().contexts().decompression
    return address


def _block_items(frame_items: int) -> int:
    """Elements that are split into planes together: a frame, unless its planes would end within a byte."""
    assert frame_items > 0
    return -(-frame_items // _EIGHT) * _EIGHT


class _ZstdLibrary:
    def __init__(self) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self.bound = function("h5zstd", "ZSTD_compressBound", size, size)
        self.is_error = function("h5zstd", "ZSTD_isError", ctypes.c_uint, size)
        self.compress = function(
            "h5zstd", "ZSTD_compressCCtx", size, pointer, pointer, size, pointer, size, ctypes.c_int
        )
        self.decompress = function("h5zstd", "ZSTD_decompressDCtx", size, pointer, pointer, size, pointer, size)
        self.xxh64 = function("h5zstd", "ZSTD_XXH64", ctypes.c_uint64, pointer, size, ctypes.c_uint64)
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


def _address(symbol: Any) -> int:
    return ctypes.cast(symbol, ctypes.c_void_p).value or 0


@cache
def _zstd() -> Any:
    return _ZstdLibrary()
