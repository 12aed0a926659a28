"""The lock: one writer, freed when its holder dies."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vidprep.pipeline.cache import CacheLock
from vidprep.pipeline.errors import OutputError

HOLD = """
import sys
from pathlib import Path
from vidprep.pipeline.cache import CacheLock
with CacheLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def take(cache: Path, task: tuple[int, int] | None = None) -> None:
    with CacheLock(cache, task=task):
        pass


def test_a_second_writer_is_told_who_holds_it_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(
            OutputError, match=rf"is being written by another run \(host {socket.gethostname()}, process {holder.pid}\)"
        ):
            take(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        take(tmp_path)


def test_it_is_free_afterwards(tmp_path: Path) -> None:
    take(tmp_path / "new" / "cache")
    with CacheLock(tmp_path / "new" / "cache"), pytest.raises(OutputError, match="another run"):
        take(tmp_path / "new" / "cache")
    take(tmp_path / "new" / "cache")


def test_tasks_of_an_array_run_side_by_side(tmp_path: Path) -> None:
    with CacheLock(tmp_path, task=(0, 3)), CacheLock(tmp_path, task=(2, 3)):
        with pytest.raises(OutputError, match="another run"):
            take(tmp_path, (0, 3))
        with pytest.raises(OutputError, match="another run"):
            take(tmp_path)
    with CacheLock(tmp_path), pytest.raises(OutputError, match="another run"):
        take(tmp_path, (1, 3))
    take(tmp_path)


def test_a_read_only_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*: read-only file system; choose a folder"):
        take(tmp_path)


def test_a_file_in_the_place_of_the_cache_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*: file exists"):
        take(tmp_path / "cache")
