"""One writer per cache: locks that the kernel frees when their holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

from ..errors import OutputError
from .atomic import output_error
from .format import LOCK_NAME


class CacheLock:
    """Holds a cache for writing, as a context manager.

    Parameters
    ----------
    cache
        The cache's folder; made if it is not there.
    task
        ``(index, count)`` of an array job: tasks of the same cache may run side by side, but no task twice, and no
        task beside a run that holds the whole cache.

    Raises
    ------
    OutputError
        On entering: another run holds it (named by host and process), or the folder cannot be written.
    """

    def __init__(self, cache: Path, *, task: tuple[int, int] | None = None) -> None:
        self._cache = cache
        self._task = task
        self._fds: list[int] = []

    def __enter__(self) -> CacheLock:
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            if self._task is None:
                self._take(self._cache / LOCK_NAME, fcntl.LOCK_EX)
            else:
                self._take(self._cache / LOCK_NAME, fcntl.LOCK_SH)
                self._take(self._cache / f"{LOCK_NAME}-{self._task[0]}-of-{self._task[1]}", fcntl.LOCK_EX)
        except OSError as error:
            self._free()
            if isinstance(error, OutputError):
                raise
            raise output_error(error, self._cache) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free()

    def _take(self, path: Path, mode: int) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._fds.append(fd)
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "of unknown name"
            raise OutputError(
                f"{self._cache} is being written by another run ({holder}), so wait for it or choose another folder"
            ) from None
        # The file stays when the lock is freed: removing it would let two runs lock two different files.
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"host {socket.gethostname()}, process {os.getpid()}\n".encode(), 0)

    def _free(self) -> None:
        while self._fds:
            os.close(self._fds.pop())
