"""Files that are there whole or not at all, and one sentence when they cannot be written."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..errors import DiskFullError, OutputError

_TEMPORARY = re.compile(r"\.(?P<final>.+)\.[\w-]+-\d+\.tmp")
_SYNC_FILE_RANGE_WRITE = 2
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit of this process or file system",
}


def temporary_path(final: Path) -> Path:
    """Where ``final`` grows until it is complete: beside it, hidden, unique to this process on this host."""
    host = re.sub(r"\W", "-", socket.gethostname()) or "host"
    return final.with_name(f".{final.name}.{host}-{os.getpid()}.tmp")


def final_name(name: str) -> str | None:
    """What a temporary file of this name was to be called; None if it is no temporary file."""
    match = _TEMPORARY.fullmatch(name)
    return None if match is None else match["final"]


def leftovers(folder: Path, is_ours: Callable[[str], bool]) -> list[Path]:
    """Temporary files of unfinished or killed runs in ``folder``, sorted.

    Parameters
    ----------
    is_ours
        Told what a file was to be called: whether to take it.
    """
    if not folder.is_dir():
        return []
    finals = ((name, final_name(name)) for name in os.listdir(folder))
    return sorted(folder / name for name, final in finals if final is not None and is_ours(final))


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``; a disk that fills up half-way raises OSError instead of writing less."""
    view = memoryview(data).cast("B")
    while view.nbytes:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def start_writing_back(fd: int) -> None:
    """Have the kernel begin to write a file's new bytes to the disk, so that a later fsync has less to wait for."""
    if sys.platform == "linux":
        _libc().sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def publish(temporary: Path, final: Path) -> None:
    """Give a complete, fsynced temporary file its name, and make the name durable."""
    os.replace(temporary, final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a run after a crash, sees the old bytes or the new ones.

    Raises
    ------
    OutputError
        The folder is read-only, the disk is full, ...
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        publish(temporary, path)
    except OSError as error:
        with suppress(OSError):  # a read-only place refuses to remove even what is not there
            temporary.unlink()
        raise output_error(error, path, needed=len(data)) from error


def output_error(error: OSError, path: Path, *, needed: int | None = None) -> OutputError:
    """The sentence for a file that cannot be written.

    Parameters
    ----------
    needed
        Bytes that were still to be written, if known.
    """
    if error.errno in _FULL:
        free = shutil.disk_usage(_existing(path)).free
        need = "" if needed is None else f", about {readable_bytes(needed)} more are needed"
        return DiskFullError(
            f"cannot write {path}: {_FULL[error.errno]} ({readable_bytes(free)} are free{need}), "
            "so make room or choose another folder and run the same command again"
        )
    return OutputError(
        f"cannot write {path}: {(error.strerror or str(error)).lower()}; choose a folder that you may write to"
    )


def readable_bytes(count: int) -> str:
    """``1234567`` -> ``1.2 MB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _existing(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())
