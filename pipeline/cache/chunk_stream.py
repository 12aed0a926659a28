"""Frames in, compressed chunks out: one dataset while its video is being read."""

from __future__ import annotations

from array import array
from concurrent.futures import Executor, Future, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checksum import xxh64
from .codecs import MAX_CHUNK_BYTES, Buffer, Codec
from .entries import DatasetSpec
from .spool import Spool


class ChunkStream:
    """Cuts frames into chunks, compresses them on threads and appends them to a spool in order.

    Memory is ``threads + 1`` chunks, raw and compressed; 20 bytes stay for each chunk.

    Parameters
    ----------
    executor, threads
        Where to compress, and on how many threads; None compresses in the calling thread.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        *,
        chunk_frames: int,
        codec: Codec,
        spool: Spool,
        executor: Executor | None,
        threads: int,
    ) -> None:
        chunk_bytes = chunk_frames * spec.frame_bytes
        if chunk_bytes > MAX_CHUNK_BYTES:
            raise ValueError(f"chunks of {chunk_bytes} bytes are too large; use fewer frames per chunk")
        self.spec = spec
        self.codec = codec
        self.num_frames = 0
        self.num_bytes = 0  # compressed
        self.sizes = array("I")
        self.checksums = array("Q")
        self._addresses = array("Q")
        self._chunk_frames = chunk_frames
        self._spool = spool
        self._executor = executor
        self._bound = codec.bound(chunk_bytes)
        self._slots = [_Slot(spec, chunk_frames, codec) for _ in range(threads + 1 if executor else 1)]
        self._current = 0
        self._filled = 0

    def write(self, frames: NDArray[Any]) -> None:
        """Take ``(n, H, W, C)`` frames, n >= 1. The array is the caller's again on return.

        Raises
        ------
        OutputError
            The disk is full.
        """
        if frames.ndim != 4 or frames.shape[1:] != self.spec.frame_shape or frames.dtype != self.spec.numpy_dtype:
            raise ValueError(
                f"{self.spec.modality} frames must be (n, {', '.join(map(str, self.spec.frame_shape))}) "
                f"{self.spec.dtype}, got {frames.shape} {frames.dtype}"
            )
        start, count = 0, frames.shape[0]
        while start < count:
            taken = min(count - start, self._chunk_frames - self._filled)
            part = frames[start : start + taken]
            if taken == self._chunk_frames and self._executor is None and part.flags.c_contiguous:
                self._encode(_as_bytes(part))  # spares a copy
                self.num_frames += taken
            else:
                self.room()[:taken] = part
                self.advance(taken)
            start += taken

    def room(self) -> NDArray[Any]:
        """Return the frames of the current chunk that are still free, at least one: a view to fill from its start."""
        slot = self._slots[self._current]
        if self._filled == 0:
            self._collect(slot)
        return slot.raw[self._filled :]

    def advance(self, count: int) -> None:
        """Take the first ``count`` frames of ``room()`` as written.

        Raises
        ------
        OutputError
            The disk is full.
        """
        self._filled += count
        self.num_frames += count
        if self._filled == self._chunk_frames:
            self._submit()

    def finish(self) -> None:
        """Pad and compress what is left, and wait until all chunks are in the spool."""
        if self._filled:
            self._slots[self._current].raw[self._filled :] = 0
            self._submit()
        for _ in self._slots:
            self._collect(self._slots[self._current])
            self._advance()

    def abandon(self) -> None:
        """Wait for the threads to let go of the buffers."""
        wait([slot.pending for slot in self._slots if slot.pending is not None])

    def chunk(self, index: int) -> Buffer:
        """The compressed bytes of one chunk, valid until the spool is cleared."""
        return self._spool.read(self._addresses[index], self.sizes[index])

    def __len__(self) -> int:
        return len(self.sizes)

    def _submit(self) -> None:
        slot = self._slots[self._current]
        if self._executor is None:
            self._encode(slot.octets)
        else:
            slot.pending = self._executor.submit(slot.encode, slot.octets)
        self._filled = 0
        self._advance()

    def _advance(self) -> None:
        self._current = (self._current + 1) % len(self._slots)

    def _collect(self, slot: _Slot) -> None:
        if slot.pending is not None:
            encoded = slot.pending.result()
            slot.pending = None
            self._keep(encoded)

    def _encode(self, raw: Buffer) -> None:
        """Compress in this thread, into the spool itself while that is in memory."""
        room = self._spool.room(self._bound)
        if room is None:
            self._keep(self._slots[0].encode(raw))
            return
        size = self.codec.encode(raw, room)
        self._note(self._spool.advance(size), size, xxh64(room[:size]))

    def _keep(self, encoded: tuple[Buffer, int]) -> None:
        data, checksum = encoded
        self._note(self._spool.append(data), data.size, checksum)

    def _note(self, address: int, size: int, checksum: int) -> None:
        self._addresses.append(address)
        self.sizes.append(size)
        self.checksums.append(checksum)
        self.num_bytes += size


class _Slot:
    """Buffers of one chunk in flight."""

    def __init__(self, spec: DatasetSpec, chunk_frames: int, codec: Codec) -> None:
        self.raw = np.empty((chunk_frames, *spec.frame_shape), spec.numpy_dtype)
        self.octets = _as_bytes(self.raw)
        self.pending: Future[tuple[Buffer, int]] | None = None
        self._codec = codec
        self._encoded = np.empty(codec.bound(self.raw.nbytes), np.uint8)

    def encode(self, raw: Buffer) -> tuple[Buffer, int]:
        data = self._encoded[: self._codec.encode(raw, self._encoded)]
        return data, xxh64(data)


def _as_bytes(frames: NDArray[Any]) -> Buffer:
    return frames.reshape(-1).view(np.uint8)
