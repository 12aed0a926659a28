"""Where a video's compressed chunks wait until the whole video is known to be good."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import OutputError
from .atomic import write_all
from .codecs import Buffer
from .memory_pool import MemoryPool

MEMORY_BYTES = 32 << 20
_pool = MemoryPool(2 * MEMORY_BYTES)  # all that one shard takes: at most eight spools of 8 MB, or one of 32 MB


class Spool:
    """A byte store that is appended to, read at random and emptied: in memory first, beyond that in a nameless file.

    Nothing of a video enters the shard before its last frame is in. So a video that fails leaves no trace in the
    shard's bytes, and each dataset's chunks lie side by side.

    Parameters
    ----------
    folder
        Where the file goes when memory is used up. It has no name, so it vanishes with the process.
    explain
        Turns an error of that file into the one to raise.
    memory_bytes
        Memory to use, from a pool that the process keeps.
    """

    def __init__(
        self, folder: Path, explain: Callable[[OSError], OutputError], memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._folder = folder
        self._explain = explain
        self._memory = _pool.take(memory_bytes)
        self._memory_used = 0
        self._fd: int | None = None
        self._file_used = 0

    def append(self, data: Buffer) -> int:
        """Keep a copy of ``data``; returns its address for ``read``.

        Raises
        ------
        OutputError
            The disk is full.
        """
        # Once one chunk went to the file all do, so that the addresses stay in order.
        if self._file_used == 0 and self._memory_used + data.size <= self._memory.size:
            address = self._memory_used
            self._memory[address : address + data.size] = data
            self._memory_used += data.size
            return address
        try:
            if self._fd is None:
                self._fd = _nameless_file(self._folder)
            write_all(self._fd, data.data, self._file_used)
        except OSError as error:
            raise self._explain(error) from error
        address = self._memory.size + self._file_used
        self._file_used += data.size
        return address

    def room(self, num_bytes: int) -> Buffer | None:
        """Memory for up to ``num_bytes`` to be filled in place, which spares ``append`` its copy; None if used up."""
        if self._file_used or self._memory_used + num_bytes > self._memory.size:
            return None
        return self._memory[self._memory_used : self._memory_used + num_bytes]

    def advance(self, num_bytes: int) -> int:
        """Keep the first ``num_bytes`` of ``room``; returns their address for ``read``."""
        address = self._memory_used
        self._memory_used += num_bytes
        return address

    def read(self, address: int, size: int) -> Buffer:
        """The ``size`` bytes that ``append`` put at ``address``, valid until ``clear``."""
        if address < self._memory.size:
            return self._memory[address : address + size]
        assert self._fd is not None
        data = np.empty(size, np.uint8)
        read = os.preadv(self._fd, [data.data], address - self._memory.size)
        assert read == size, (read, size)
        return data

    def clear(self) -> None:
        """Forget everything; memory and file are used again."""
        self._memory_used = 0
        if self._fd is not None and self._file_used:
            os.ftruncate(self._fd, 0)
        self._file_used = 0

    def close(self) -> None:
        """Give memory and file back; whatever ``read`` and ``room`` returned is no longer valid."""
        if self._memory.size:
            _pool.give_back(self._memory)
            self._memory = np.empty(0, np.uint8)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _nameless_file(folder: Path) -> int:
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())
