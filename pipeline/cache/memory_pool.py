"""Memory that outlives its users, so that the kernel need not provide it anew."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
        self._returned: deque[Buffer] = deque()  # by leases, which cannot wait for a lock
        self._lock = threading.Lock()

    @property
    def free_bytes(self) -> int:
        return sum(block.size for block in self._free)

    def take(self, num_bytes: int) -> Buffer:
        """Return a block of ``num_bytes``, with anything in it; only what is ever filled of it becomes resident."""
        with self._lock:
            self._keep_returned()
            for index, block in enumerate(self._free):
                if block.size == num_bytes:
                    return self._free.pop(index)
        return np.empty(num_bytes, np.uint8)

    def give_back(self, block: Buffer) -> None:
        """Let the next one have ``block``, which the caller may not touch any more."""
        with self._lock:
            self._returned.append(block)
            self._keep_returned()

    def array(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return a C-contiguous array, with anything in it, that nobody need give back.

        Its memory comes back by itself when the last view of it is gone, a tensor's included.
        """
        kind = np.dtype(dtype)
        return np.asarray(_Lease(self.take(math.prod(shape) * kind.itemsize), shape, kind, self._returned))

    def _keep_returned(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        while self.free_bytes > self._most_bytes:
            self._free.pop(0)


class _Lease:
    """What an array and all views of it hold on to, which they would not do to an array that theirs is a view of."""

    def __init__(self, block: Buffer, shape: Sequence[int], dtype: np.dtype[Any], returned: deque[Buffer]) -> None:
        self._block, self._returned = block, returned
        self.__array_interface__ = {**block.__array_interface__, "shape": tuple(shape), "typestr": dtype.str}

    def __del__(self) -> None:
        self._returned.append(self._block)  # without a lock: this may be called in the middle of anything
