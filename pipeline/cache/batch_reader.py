"""From a checked request to the arrays that compiled code works through, and from its results to what is damaged."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.cpu import _threads
from .clip_damage import ClipDamage
from .clip_request import ClipRequest, Integers
from .codecs import MAX_CHUNK_BYTES, Buffer, zstd_addresses, zstd_context
from .index_table import CHUNK_FRAMES, CODEC, SHARD, IndexTable
from .open_shards import OpenShards

_PIECES_PER_THREAD = 32  # the last piece of a batch is the time that other threads may have to wait for
_LEAST_FRAMES, _LEAST_ZSTD_FRAMES = 8, 32  # of a piece: a Zstandard chunk that two pieces share is done twice
_MOST_SHARDS = 64  # open at a time for one batch


class BatchReader:
    """Reads the clips of one cache. Good in threads and forked processes."""

    def __init__(self, index: IndexTable, shards: OpenShards) -> None:
        self._index = index
        self._shards = shards
        self._scratch = _Scratch()

    def read(
        self, request: ClipRequest, out: NDArray[Any], *, verify: bool, num_threads: int | None
    ) -> tuple[ClipDamage, ...]:
        """Fill ``out`` with all of the request that can be read; returns what cannot.

        Parameters
        ----------
        out
            C-contiguous, of the request's shape and dtype.
        num_threads
            At most so many threads; all that kernels may use by default.

        Raises
        ------
        CacheError
            A shard is missing.
        """
        damage: list[ClipDamage] = []
        for clips in _groups(request.layouts[:, SHARD].tolist()):
            damage += self._read_group(request, clips, out, verify, num_threads)
        return tuple(sorted(damage, key=lambda item: item.clip))

    def _read_group(
        self, request: ClipRequest, clips: Integers, out: NDArray[Any], verify: bool, num_threads: int | None
    ) -> list[ClipDamage]:
        from . import clip_decoder as code  # here, because Numba takes half a second that not every command needs

        index, chunks = self._index, self._index.chunks
        rows, layouts = request.rows[clips], request.layouts[clips]
        shards = layouts[:, SHARD].tolist()
        files = {shard: self._shards.get(shard) for shard in set(shards)}  # none closes before all is read
        first_chunks = chunks.starts[rows]
        table = np.empty((len(rows), code.NUM_COLUMNS), np.int64)
        table[:, code.PLACE] = clips
        table[:, code.FILE] = [files[shard].fd for shard in shards]
        table[:, code.FIRST_CHUNK] = first_chunks
        table[:, code.NUM_CHUNKS] = chunks.starts[rows + 1] - first_chunks
        table[:, code.CHUNK_FRAMES : code.CODEC + 1] = layouts[:, CHUNK_FRAMES : CODEC + 1]
        table[:, code.TOP : code.LEFT + 1] = request.corners[clips]
        height, width, channels = out.shape[2:]
        item_bytes = out.itemsize
        # In floating point, which does not wrap around.
        chunk_bytes = table[:, code.CHUNK_FRAMES : code.FRAME_WIDTH + 1].prod(axis=1, dtype=float)
        chunk_bytes *= channels * item_bytes
        impossible = (chunk_bytes < 1) | (chunk_bytes > MAX_CHUNK_BYTES)
        # The index is damaged: none of their chunks is looked at.
        table[impossible, code.NUM_CHUNKS], table[impossible, code.CHUNK_FRAMES], chunk_bytes[impossible] = 0, 1, 0
        scratch_bytes = code.scratch_bytes(int(chunk_bytes.max()), int(table[:, code.CHUNK_FRAMES].max()))

        zstd = bool((table[:, code.CODEC] == code.ZSTD).any())
        threads = _threads.num_threads() if num_threads is None else num_threads
        frames, order = _ascending(request.frames[clips])
        length = frames.shape[1]
        least = _LEAST_ZSTD_FRAMES if zstd else _LEAST_FRAMES
        piece_frames = max(least, -(-frames.size // (_PIECES_PER_THREAD * threads)))
        pieces = -(-length // piece_frames) * len(frames)
        batch = np.array([item_bytes, channels, height, width, piece_frames, verify], np.int64)
        checksums = index.all_checksums if verify else np.empty(0, np.uint64)
        functions = np.array([*_libc(), *(zstd_addresses() if zstd or verify else (0, 0))], np.int64)
        counter, results = np.zeros(2, np.int64), np.empty((pieces, 2), np.int64)
        flat = out.reshape(-1).view(np.uint8)

        def work(_: int) -> None:
            own = np.zeros(code.OWN_SIZE, np.int64)
            own[code.ZSTD_CONTEXT] = zstd_context() if zstd else 0
            scratch = self._scratch.of(scratch_bytes)
            code.read_pieces(
                counter, table, frames, order, chunks.offsets, chunks.sizes, checksums, batch, functions, own, scratch,
                flat, results,
            )  # fmt: skip

        _threads.run_tasks(work, min(threads, pieces))
        found: dict[int, list[int]] = {}
        for piece in np.flatnonzero(results[:, 0] != code.GOOD).tolist():
            found.setdefault(piece * len(frames) // pieces, results[piece].tolist())
        return [
            ClipDamage(
                clip=int(clips[clip]),
                video=index.id(int(request.positions[clips[clip]])),
                shard=shards[clip],
                chunk=chunk,
                reason=code.REASONS[reason],
            )
            for clip, (reason, chunk) in found.items()
        ]


class _Scratch(threading.local):
    """Memory that a thread uses again for each read; fresh from the system it costs as much as decompressing."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def of(self, size: int) -> Buffer:
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory


def _groups(shards: list[int]) -> Iterator[Integers]:
    """Clips in groups of few shards each, so that no batch needs more open files than there may be."""
    distinct = sorted(set(shards))
    if len(distinct) <= _MOST_SHARDS:
        yield np.arange(len(shards))
        return
    which = np.searchsorted(distinct, shards)
    for first in range(0, len(distinct), _MOST_SHARDS):
        yield np.flatnonzero((which >= first) & (which < first + _MOST_SHARDS))


def _ascending(frames: Integers) -> tuple[Integers, Integers]:
    """Each clip's frames in ascending order, and where in the clip each belongs."""
    if (frames[:, 1:] >= frames[:, :-1]).all():
        order = np.empty_like(frames)
        order[:] = np.arange(frames.shape[1])
        return frames, order
    order = np.argsort(frames, axis=1, kind="stable")
    return np.take_along_axis(frames, order, axis=1), order


@cache
def _libc() -> tuple[int, int, int]:
    """Addresses of ``pread``, ``posix_fadvise`` (0 where there is none) and ``getrusage``."""
    libc = ctypes.CDLL(None)
    functions = [getattr(libc, name, ctypes.c_void_p()) for name in ("pread", "posix_fadvise", "getrusage")]
    pread, fadvise, getrusage = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
    return pread, fadvise, getrusage
