"""Runs that end before their time, and those after them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import vidprep
from extraction import cache_bytes, command_line, run_vidprep
from interruption import assert_same_bytes, kill_and_resume
from media import write_clip
from vidprep.pipeline.cache import CacheLock, shard_path, sidecar_path
from vidprep.pipeline.errors import UsageError

# Slow enough, on small clips, to be interrupted in the middle.
OPTIONS = ["--modality", "rgb", "--modality", "residual", "--size", "320x240", "--codec", "zstd", "--shard-videos", "1"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips of 40 frames."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(10):
        write_clip(folder / f"{number}.avi", codec="mpeg4", num_frames=40, seed=number)
    return folder


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that an undisturbed run with one worker makes."""
    cache = tmp_path_factory.mktemp("undisturbed") / "cache"
    assert run_vidprep("extract", source, "--out", cache, "--workers", "1", *OPTIONS).returncode == 0
    return cache


def test_the_number_of_workers_does_not_show(source: Path, undisturbed: Path, tmp_path: Path) -> None:
    result = run_vidprep("extract", source, "--out", tmp_path / "cache", "--workers", "2", *OPTIONS)
    assert result.returncode == 0
    assert_same_bytes(cache_bytes(tmp_path / "cache"), cache_bytes(undisturbed))


def test_kill_minus_nine_at_random_moments(source: Path, tmp_path: Path) -> None:
    """benchmarks/kill_test.py does it 50 times."""
    result = kill_and_resume(source, tmp_path, [*OPTIONS, "--workers", "2"], kills=5, seed=1)
    assert result.kills == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_resumed(number: signal.Signals, source: Path, undisturbed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    arguments = ["extract", source, "--out", cache, "--workers", "2", *OPTIONS]
    process = subprocess.Popen(
        command_line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(cache.glob("shards/shard-*.parquet")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: workers get it too
    else:
        process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "vidprep: interrupted; the same command goes on where this run stopped\n"
    assert output == ""
    finished = len(list(cache.glob("shards/shard-*.parquet")))
    assert 1 <= finished < 10
    assert [path.name for path in cache.rglob("*.tmp")] == []
    resumed = run_vidprep(*arguments)
    assert resumed.returncode == 0
    assert f"{finished} video" in resumed.stdout
    assert_same_bytes(cache_bytes(cache), cache_bytes(undisturbed))


def test_a_finished_cache_is_left_as_it_is(dataset: Path, cache_copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache_copy.glob("shards/*")}
    report = vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    assert (report.num_videos, report.videos_before, report.frames) == (4, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in cache_copy.glob("shards/*")} == before


def test_what_is_not_whole_is_made_again(dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    sidecar_path(cache_copy, 0).unlink()
    os.truncate(shard_path(cache_copy, 1), 100)
    os.truncate(sidecar_path(cache_copy, 2), 100)
    for name in ("shards/.shard-00002.h5.elsewhere-123.tmp", ".cache.json.elsewhere-123.tmp"):
        (cache_copy / name).write_bytes(b"half a file")
    for path in (shard_path, sidecar_path):  # of no video in the plan
        shutil.copyfile(path(cache_copy, 3), path(cache_copy, 77))
    report = vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    assert report.videos_before == 1
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_a_shard_without_its_file_is_made_again(dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    shard_path(cache_copy, 2).unlink()
    assert vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1).videos_before == 3
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_another_config_is_refused_until_overwritten(dataset: Path, cache_copy: Path) -> None:
    before = cache_bytes(cache_copy)
    with pytest.raises(UsageError, match=r"step is 1 there and 4 here.*--overwrite"):
        vidprep.extract(dataset, cache_copy, size=(24, 32), step=4, workers=1)
    assert_same_bytes(cache_bytes(cache_copy), before)
    (cache_copy / "notes of mine.txt").write_text("stay")
    vidprep.extract(dataset, cache_copy, size=(24, 32), step=4, workers=1, overwrite=True)
    assert vidprep.Cache(cache_copy).read("Archery/a.mp4", "residual").shape == (8, 24, 32, 3)
    assert (cache_copy / "notes of mine.txt").read_text() == "stay"


def test_an_overwriting_that_was_killed_leaves_nothing_that_counts(
    dataset: Path, cache_copy: Path, tmp_path: Path
) -> None:
    (cache_copy / "cache.json").unlink()  # what goes first
    for cache in (cache_copy, tmp_path / "fresh"):
        vidprep.extract(dataset, cache, size=(12, 16), shard_videos=3, workers=1)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(tmp_path / "fresh"))


def test_a_source_that_changed_is_refused(tmp_path: Path) -> None:
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_clip(source / name, num_frames=4)
    vidprep.extract(source, cache, size=(24, 32), workers=1)
    write_clip(source / "c.mp4", num_frames=4)
    with pytest.raises(UsageError, match=r"not those that .* was begun with \(1 new: c.mp4\).*--overwrite"):
        vidprep.extract(source, cache, size=(24, 32))
    (source / "c.mp4").rename(source / "b.mp4")
    write_clip(source / "b.mp4", num_frames=9)
    with pytest.raises(UsageError, match=r"1 changed in size, label or split: b.mp4"):
        vidprep.extract(source, cache, size=(24, 32))
    (source / "b.mp4").unlink()
    with pytest.raises(UsageError, match=r"1 gone: b.mp4"):
        vidprep.extract(source, cache, size=(24, 32))


def test_a_source_that_moved_is_the_same(dataset: Path, cache_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(dataset)
    assert vidprep.extract(tmp_path / "elsewhere", cache_copy, size=(24, 32)).videos_before == 4


def test_two_writers_of_one_cache(dataset: Path, cache_copy: Path) -> None:
    with CacheLock(cache_copy):
        for arguments in (["extract", dataset, "--out", cache_copy], ["verify", cache_copy, "--repair"]):
            result = run_vidprep(*arguments)
            assert result.returncode == 1
            assert "is being written by another run (host " in result.stderr
            assert result.stderr.count("\n") == 1
