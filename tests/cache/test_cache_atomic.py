"""Atomic files: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from vidprep.pipeline.cache import atomic
from vidprep.pipeline.cache.atomic import leftovers, readable_bytes, temporary_path, write_all, write_atomic
from vidprep.pipeline.errors import OutputError


def test_it_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_a_failure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(fd: int, data: Any, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=r"cannot write .*file: the disk is full \(.* are free, about 3 bytes more"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:3], offset))
    path = tmp_path / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    write_all(fd, b"0123456789", 2)
    os.close(fd)
    assert path.read_bytes() == b"\0\x000123456789"


def test_leftovers_are_told_from_everything_else(tmp_path: Path) -> None:
    final = tmp_path / "shard-00001.h5"
    temporary = temporary_path(final)
    for path in (final, temporary, tmp_path / ".hidden", tmp_path / "a.tmp", tmp_path / ".index.parquet.h-1.tmp"):
        path.touch()
    assert str(os.getpid()) in temporary.name
    assert leftovers(tmp_path, lambda name: True) == sorted([temporary, tmp_path / ".index.parquet.h-1.tmp"])
    assert leftovers(tmp_path, lambda name: name == final.name) == [temporary]
    assert leftovers(tmp_path / "absent", lambda name: True) == []


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1234, "1.2 kB"), (5_000_000, "5.0 MB"), (2 * 10**13, "20.0 TB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert readable_bytes(count) == text


def test_the_host_name_cannot_break_the_temporary_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic.socket, "gethostname", lambda: "a.b/c d")
    assert temporary_path(Path("/x/file")).name == f".file.a-b-c-d-{os.getpid()}.tmp"
