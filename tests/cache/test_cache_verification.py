"""Verification: a single flipped bit, wherever it is, is found and put down to the right part."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vidprep.pipeline.cache import (
    Cache,
    PlannedVideo,
    PlanTable,
    build_index,
    shard_path,
    sidecar_path,
    verification,
    verify,
)
from vidprep.pipeline.errors import CacheError

Make = Callable[..., Any]


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def kinds(cache: Path) -> set[str]:
    return {damage.kind for damage in verify(cache).damage}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("codec", ["lz4", "none"])
def test_a_sound_cache_is_read_to_the_last_byte(
    make_cache: Make, monkeypatch: pytest.MonkeyPatch, codec: str, threads: int
) -> None:
    monkeypatch.setattr(verification, "_TASK_BYTES", 1000)
    path = make_cache(codec=codec).path
    calls: list[tuple[int, int]] = []
    report = verify(path, threads, lambda done, total: calls.append((done, total)))
    assert report.ok
    assert report.damage == ()
    assert report.leftovers == ()
    assert report.num_shards == 2
    assert report.num_chunks == 2 * (3 + 1 + 1 + 6)
    assert report.num_bytes == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    shard_bytes = sum(shard_path(path, shard).stat().st_size for shard in (0, 1))
    assert calls[-1] == (shard_bytes, shard_bytes)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    "name", ["shards/shard-00000.h5", "shards/shard-00001.parquet", "index.parquet", "plan.parquet"]
)
def test_a_flipped_bit_anywhere_is_found(make_cache: Make, name: str) -> None:
    path = make_cache(codec="zstd").path
    file = path / name
    sound = file.read_bytes()
    expected = {"h5": {"shard", "chunk"}, "shards": {"sidecar"}, "index.parquet": {"index"}, "plan.parquet": {"plan"}}
    allowed = expected["h5" if name.endswith("h5") else name.partition("/")[0]]
    positions = np.unique(np.linspace(0, len(sound) - 1, 60).astype(int))
    for number, position in enumerate(positions):
        flip(file, position, number % 8)
        report = verify(path)
        assert report.damage, position
        assert {damage.kind for damage in report.damage} <= allowed, position
        if "shards" in name:
            assert report.damaged_shards == (int(name[13:18]),)
        else:
            assert report.damaged_shards == ()
        file.write_bytes(sound)
    assert verify(path).ok


def test_a_flipped_bit_in_the_header_is_found(make_cache: Make) -> None:
    path = make_cache().path
    file = path / "cache.json"
    sound = file.read_bytes()
    digit = sound.index(b"format_version") + len('format_version": ')
    for position in {*range(0, len(sound), 5)} - {digit}:
        flip(file, position, position % 7)
        report = verify(path)
        assert {damage.kind for damage in report.damage} == {"header"}
        assert report.damaged_shards == ()
        file.write_bytes(sound)
    flip(file, digit)
    with pytest.raises(CacheError, match="is of cache format 0"):
        verify(path)


def test_whitespace_in_the_header_counts_too(make_cache: Make) -> None:
    path = make_cache().path
    file = path / "cache.json"
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert kinds(path) == {"header"}
    Cache(path)  # it still says the same


def test_a_flipped_bit_in_a_chunk_names_the_video(make_cache: Make) -> None:
    path = make_cache().path
    with h5py.File(shard_path(path, 1)) as file:
        chunk = file["v_3.avi/flow"].id.get_chunk_info(4)
    flip(shard_path(path, 1), chunk.byte_offset + chunk.size // 2)
    (damage,) = verify(path).damage
    assert (damage.kind, damage.shard, damage.video, damage.modality, damage.chunk) == (
        "chunk",
        1,
        "v_3.avi",
        "flow",
        4,
    )
    assert str(damage).startswith("shard 00001, v_3.avi, flow, chunk 4: ")


@pytest.mark.parametrize("keep", [0, 1, 100, 5000, -1])
def test_a_truncated_shard_is_found(make_cache: Make, keep: int) -> None:
    path = make_cache().path
    shard = shard_path(path, 0)
    shard.write_bytes(shard.read_bytes()[:keep])
    report = verify(path)
    assert [(damage.kind, damage.shard) for damage in report.damage] == [("shard", 0)]
    assert "instead of" in report.damage[0].detail


def test_a_longer_shard_is_found(make_cache: Make) -> None:
    path = make_cache().path
    shard = shard_path(path, 0)
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert verify(path).damaged_shards == (0,)


def test_garbage_of_the_right_size_is_found(make_cache: Make) -> None:
    path = make_cache().path
    shard = shard_path(path, 0)
    shard.write_bytes(b"garbage!" * (shard.stat().st_size // 8) + b"." * (shard.stat().st_size % 8))
    assert verify(path).damaged_shards == (0,)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["shards/shard-00001.h5"], "shard"),
        (["shards/shard-00001.parquet"], "sidecar"),
        (["shards/shard-00001.h5", "shards/shard-00001.parquet"], "missing"),
    ],
)
def test_a_missing_part_of_a_shard_is_found(make_cache: Make, names: list[str], expected: str) -> None:
    path = make_cache().path
    for name in names:
        (path / name).unlink()
    report = verify(path)
    assert [(damage.kind, damage.shard) for damage in report.damage] == [(expected, 1)]
    assert report.damaged_shards == (1,)


@pytest.mark.parametrize(
    ("name", "kind"), [("index.parquet", "index"), ("failures.csv", "failures"), ("plan.parquet", "plan")]
)
def test_a_missing_file_at_the_top_is_found(make_cache: Make, name: str, kind: str) -> None:
    path = make_cache().path
    (path / name).unlink()
    report = verify(path)
    assert [damage.kind for damage in report.damage] == [kind]


def test_changed_failures_are_found(make_cache: Make) -> None:
    path = make_cache().path
    flip(path / "failures.csv", 30)
    assert kinds(path) == {"failures"}


def test_a_folder_without_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="is not a cache"):
        verify(tmp_path)


def test_a_shard_of_another_cache_is_found(make_cache: Make) -> None:
    path, other = make_cache().path, make_cache("other").path
    shutil.copy(sidecar_path(other, 0), sidecar_path(path, 1))
    shutil.copy(shard_path(other, 0), shard_path(path, 1))
    report = verify(path)
    assert [(damage.kind, damage.shard) for damage in report.damage] == [("sidecar", 1)]


def test_a_sidecar_that_is_newer_than_the_index_is_the_indexs_fault(make_cache: Make, tmp_path: Path) -> None:
    path, other = make_cache().path, make_cache("other", codec="zstd").path
    shutil.copy(sidecar_path(other, 1), sidecar_path(path, 1))
    shutil.copy(shard_path(other, 1), shard_path(path, 1))
    report = verify(path)
    assert [damage.kind for damage in report.damage] == ["index"]
    assert report.damaged_shards == ()
    build_index(path)
    assert verify(path).ok


def test_a_shard_beyond_the_plan_is_a_stray(make_cache: Make) -> None:
    path = make_cache().path
    shard_path(path, 7).write_bytes(b"what is this")
    report = verify(path)
    assert report.stray_shards == (7,)
    assert report.damaged_shards == ()
    assert not report.ok


def test_shards_that_are_still_to_come_are_missing(make_cache: Make) -> None:
    path = make_cache().path
    plan = PlanTable.read(path)
    more = PlannedVideo(video="z", path="z", label=None, split=None, shard=2, source_bytes=1)
    more_plan = replace(plan, videos=(*plan.videos, more))
    more_plan.write(path)
    more_plan.header({}).write(path)
    assert [(damage.kind, damage.shard) for damage in verify(path).damage] == [("missing", 2)]
    assert build_index(path).missing_shards == (2,)


def test_temporary_files_are_leftovers_and_no_damage(make_cache: Make) -> None:
    path = make_cache().path
    names = ("shards/.shard-00001.h5.some-host-12.tmp", ".index.parquet.h-1.tmp")
    for name in names:
        (path / name).write_bytes(b"half a")
    report = verify(path)
    assert report.ok
    assert sorted(report.leftovers) == sorted(path / name for name in names)


def test_a_disk_that_cannot_read_is_damage(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_cache().path

    def broken(fd: int, buffers: Any, offset: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    report = verify(path)
    assert report.damaged_shards == (0, 1)
    assert {damage.kind for damage in report.damage} == {"chunk", "shard"}
