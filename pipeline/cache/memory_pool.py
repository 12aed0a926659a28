"""Memory that outlives its users, so that the kernel need not provide it anew."""

from __future__ import annotations

import threading

import numpy as np

from .codecs import Buffer


class MemoryPool:
    """Blocks of memory for one spool after the other: fresh memory would cost a page fault at every first touch.

    Usable from several threads.

    Parameters
    ----------
    most_bytes
        What it keeps of the blocks that nobody uses, at most.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._free: list[Buffer] = []
        self._lock = threading.Lock()

    @property
    def free_bytes(self) -> int:
        return sum(block.size for block in self._free)

    def take(self, num_bytes: int) -> Buffer:
        """Return a block of ``num_bytes``, with anything in it; only what is ever filled of it becomes resident."""
        with self._lock:
            for index, block in enumerate(self._free):
                if block.size == num_bytes:
                    return self._free.pop(index)
        return np.empty(num_bytes, np.uint8)

    def give_back(self, block: Buffer) -> None:
        """Let the next one have ``block``, which the caller may not touch any more."""
        with self._lock:
            self._free.append(block)
            while self.free_bytes > self._most_bytes:
                self._free.pop(0)
