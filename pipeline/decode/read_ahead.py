"""Decoding the next chunk in a thread of its own, while the one before is computed on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..cache.memory_pool import MemoryPool
from .frames import FrameChunk, FrameSource

_memory = MemoryPool(1 << 25)  # of the chunks before: first touches of memory take time


class ReadAheadSource:
    """A ``FrameSource`` that is one chunk ahead of whoever iterates it.

    Parameters
    ----------
    source
        Gives NumPy frames; closed with this one. Whatever it does once it is open, it does in one thread.
    """

    def __init__(self, source: FrameSource) -> None:
        self.info = source.info
        self.decoder = source.decoder
        self._source = source
        self._thread = ThreadPoolExecutor(1, "decode")

    def __iter__(self) -> Iterator[FrameChunk]:
        """Yield the chunks, once; errors come where the source raised them."""
        chunks = iter(self._source)

        def advance() -> FrameChunk | None:
            chunk = next(chunks, None)
            # A copy: the source's buffer takes the next chunk while this one is still needed.
            if chunk is None:
                return None
            frames = _memory.array(chunk.frames.shape, chunk.frames.dtype)
            frames[:] = chunk.frames
            return replace(chunk, frames=frames)

        coming = self._thread.submit(advance)
        while (chunk := coming.result()) is not None:
            coming = self._thread.submit(advance)
            yield chunk

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)  # nobody decodes any more
        self._source.close()
