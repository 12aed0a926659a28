"""Runs that end before their time, and those after them."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import vidprep
from extraction import cache_bytes, command_line, run_vidprep
from interruption import assert_same_bytes, interruptible, kill_and_resume
from media import write_clip
from vidprep.pipeline.cache import CacheHeader, CacheLock, PlanTable, build_index, shard_path, sidecar_path
from vidprep.pipeline.cache_folder import planned_shards
from vidprep.pipeline.cache_place import check_place, remove_cache
from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.errors import UsageError, VidprepError
from vidprep.pipeline.shard import ShardTask, build_shard

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


@pytest.mark.parametrize(
    ("number", "overwrite", "again"),
    [
        (signal.SIGINT, (), "the same command"),
        (signal.SIGTERM, ("--overwrite",), "the same command without --overwrite"),
    ],
)
def test_an_interrupted_run_is_resumed(
    number: signal.Signals, overwrite: tuple[str, ...], again: str, source: Path, undisturbed: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    arguments = ["extract", source, "--out", cache, "--workers", "2", *OPTIONS]
    command = interruptible(command_line(*arguments, *overwrite))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
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
    assert errors == f"vidprep: interrupted; {again} goes on where this run stopped\n"
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
    vidprep.extract(dataset, cache_copy, size=(24, 32), step=4, workers=1, overwrite=True)
    assert vidprep.Cache(cache_copy).read("Archery/a.mp4", "residual").shape == (8, 24, 32, 3)


@pytest.mark.parametrize("moment", range(0, 12, 2))
def test_an_overwriting_that_was_killed_can_be_run_again(
    moment: int, dataset: Path, cache_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, left = Path.unlink, iter(range(moment))

    def killed_later(path: Path, missing_ok: bool = False) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed_later)
    with pytest.raises(KeyboardInterrupt):
        remove_cache(cache_copy)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="size is 32x24 there and 16x12 here"):
        vidprep.extract(dataset, cache_copy, size=(12, 16), shard_videos=3, workers=1)
    check_place(cache_copy, dataset, (), overwrite=True)
    remove_cache(cache_copy)
    assert cache_bytes(cache_copy) == {}


def lose(cache: Path, names: str) -> None:
    """Remove or damage files at the top of a cache."""
    for name in names.split():
        if name.startswith("flipped:"):
            path = cache / name.partition(":")[2]
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 4
            path.write_bytes(data)
        else:
            (cache / name).unlink()


LOST = ["cache.json", "plan.parquet", "cache.json plan.parquet", "flipped:cache.json", "flipped:plan.parquet",
        "flipped:cache.json flipped:plan.parquet"]  # fmt: skip


@pytest.mark.parametrize("names", LOST)
def test_a_lost_header_or_plan_is_written_anew(
    names: str, dataset: Path, dataset_cache: Path, cache_copy: Path
) -> None:
    lose(cache_copy, names)
    times = {path: path.stat().st_mtime_ns for path in cache_copy.glob("shards/*")}
    assert vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1).videos_before == 4
    assert {path: path.stat().st_mtime_ns for path in cache_copy.glob("shards/*")} == times
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


@pytest.mark.parametrize("names", LOST)
@pytest.mark.parametrize(
    ("request_", "difference"),
    [
        ({"size": (12, 16)}, r"size is 32x24 there and 16x12 here|it holds residual of 32x24, lz4"),
        ({"size": (24, 32), "source": "elsewhere"}, r"1 changed in size, label or split: Archery/a.mp4"),
        ({"size": (24, 32), "source": "fewer"}, r"gone: .*Bowling/b.mkv"),
    ],
)
def test_shards_of_another_request_are_kept(
    names: str, request_: dict, difference: str, dataset: Path, cache_copy: Path, tmp_path: Path
) -> None:
    lose(cache_copy, names)
    before = cache_bytes(cache_copy)
    source = dataset
    if "source" in request_:
        source = Path(shutil.copytree(dataset, tmp_path / request_["source"]))
        if source.name == "fewer":
            (source / "Bowling" / "b.mkv").unlink()
        else:
            with (source / "Archery" / "a.mp4").open("ab") as file:
                file.write(b"more")
    with pytest.raises(UsageError, match=rf"({difference}).*--overwrite to start anew$"):
        vidprep.extract(source, cache_copy, size=request_["size"], workers=1)
    assert_same_bytes(cache_bytes(cache_copy), before)


def test_shards_that_do_not_belong_are_named_and_kept(dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    for path in (shard_path, sidecar_path):
        shutil.copyfile(path(cache_copy, 3), path(cache_copy, 77))
    with pytest.raises(UsageError, match=r"shard-00077.parquet is no part of .* verify \S+/cache --repair`"):
        vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    sidecar_path(cache_copy, 77).unlink()
    with pytest.raises(UsageError, match=r"shard-00077.h5 belongs to no shard of the 4 planned ones: .*--overwrite"):
        vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    shard_path(cache_copy, 77).unlink()
    vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


@pytest.mark.parametrize("method", ["read_bytes", "stat"])
def test_a_disk_that_fails_costs_no_shard(
    method: str, dataset: Path, cache_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache_bytes(cache_copy)
    real = getattr(Path, method)

    def broken(path: Path, **options: object) -> object:
        if path.name == ("shard-00001.parquet" if method == "read_bytes" else "shard-00001.h5"):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, **options)

    monkeypatch.setattr(Path, method, broken)
    with pytest.raises(VidprepError, match="input/output error"):
        vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    monkeypatch.undo()
    assert_same_bytes(cache_bytes(cache_copy), before)


def test_what_a_killed_worker_gave_up_is_tried_again(dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    """A worker may be killed for want of memory: the video need not be to blame."""
    header = CacheHeader.read(cache_copy)
    plan = planned_shards(PlanTable.read(cache_copy))[2]
    task = ShardTask(
        plan=plan,
        config=ExtractConfig.from_json(dict(header.config)),
        cache=cache_copy,
        given_up=((plan.videos[0].id, "worker", "its worker process was killed by SIGKILL"),),
    )
    build_shard(task, "cpu", lambda event: None)
    assert [failure.stage for failure in build_index(cache_copy).failures] == ["worker"]
    report = vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    assert (report.videos_before, report.num_videos, report.failures) == (3, 4, ())
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


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
    assert PlanTable.read(cache_copy).source == str(tmp_path / "elsewhere")
    assert CacheHeader.read(cache_copy).source == str(tmp_path / "elsewhere")


def test_two_writers_of_one_cache(dataset: Path, cache_copy: Path) -> None:
    with CacheLock(cache_copy):
        for arguments in (["extract", dataset, "--out", cache_copy], ["verify", cache_copy, "--repair"]):
            result = run_vidprep(*arguments)
            assert result.returncode == 1
            assert "is being written by another run (host " in result.stderr
            assert result.stderr.count("\n") == 1
