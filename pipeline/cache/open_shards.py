"""Open shard files of a reader: a bounded number, per process, shared by its threads."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from ..errors import CacheError
from .format import mending, shard_path

MAX_OPEN = 128


class ShardFile:
    """A shard open for reading; closed when the last thread that reads from it lets go."""

    def __init__(self, path: Path) -> None:
        self.fd = -1
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CacheError(f"{path} is missing, so restore it or run {mending(path)}") from None
        except OSError as error:
            many = error.errno in (errno.EMFILE, errno.ENFILE)
            remedy = "raise the limit of open files (ulimit -n)" if many else "check the disk"
            raise CacheError(f"{path} cannot be read ({(error.strerror or '').lower()}), so {remedy}") from None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # as the interpreter ends, `os` is gone
        if self.fd >= 0:
            close(self.fd)


class OpenShards:
    """Shard files by number, opened on first use, the least recently used dropped beyond ``MAX_OPEN``."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._reset()

    def get(self, shard: int) -> ShardFile:
        """The open file of a shard.

        Raises
        ------
        CacheError
            It is missing or unreadable.
        """
        if self._process != os.getpid():
            # A fork may have copied the lock while another thread held it.
            self._reset()
        with self._lock:
            file = self._files.get(shard)
            if file is None:
                file = self._files[shard] = ShardFile(shard_path(self._cache, shard))
                if len(self._files) > MAX_OPEN:
                    self._files.popitem(last=False)
            else:
                self._files.move_to_end(shard)
            return file

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._files: OrderedDict[int, ShardFile] = OrderedDict()
