"""The pool of workers: who is to blame when one dies or hangs, and what becomes of the others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from extraction import make_task, small_config
from fragile_builder import (
    FRAMES,
    NUM_BYTES,
    counts_threads,
    crashes_then_exits,
    dies_outside_videos,
    dies_outside_videos_once,
    fragile,
    fragile_extraction,
    fragile_side_by_side,
    hangs_outside_videos,
    killed_once,
    killed_outside_videos,
    make_tasks,
)
from media import write_clip
from vidprep.pipeline.cache import Cache, CacheHeader, build_index
from vidprep.pipeline.engines.local import run_tasks
from vidprep.pipeline.errors import OutputError, VidprepError
from vidprep.pipeline.events import Event, ShardFinished, VideoFinished
from vidprep.pipeline.run import Progress
from vidprep.pipeline.shard import ShardTask


def run(tasks: list[ShardTask], build: Callable[..., None], *, workers: int = 1, time_limit: float = 60) -> list[Event]:
    """Run tasks and return everything that was reported."""
    events: list[Event] = []
    run_tasks(tasks, devices=["cpu"], workers=workers, time_limit=time_limit, on_event=events.append, build=build)
    return events


def test_a_crash_or_a_hang_costs_that_video_alone(tmp_path: Path) -> None:
    (task,) = make_tasks(tmp_path, ("a", "segfault", "b", "hang", "c", "d"))
    events = run([task], fragile, time_limit=0.5)
    finished = {event.video for event in events if isinstance(event, VideoFinished)}
    assert finished == {"a", "b", "c", "d"}
    assert events[-1] == ShardFinished(number=0)
    notes = (tmp_path / "notes.txt").read_text().splitlines()
    without = [note.rpartition("without ")[2] for note in notes]
    assert without == ["[]", "[]", "['segfault']", "['segfault']", "['hang', 'segfault']"]  # each had a second chance
    assert len({note.split()[1] for note in notes}) == 5  # a new process each time
    progress = Progress(videos_total=6, videos_before=0)
    for event in events:
        progress.take(event)
    assert (progress.frames, progress.num_bytes) == (4 * FRAMES, 4 * NUM_BYTES)  # what was lost is taken back


def test_a_workers_kernels_use_the_threads_of_the_task(tmp_path: Path) -> None:
    tasks = [
        replace(task, kernel_threads=threads)
        for task, threads in zip(make_tasks(tmp_path, ("a",), ("b",)), (3, 5), strict=True)
    ]
    run(tasks, counts_threads)
    assert (tmp_path / "notes.txt").read_text().splitlines() == ["shard-00000 3", "shard-00001 5"]


def test_what_killed_a_worker_is_recorded_and_the_shard_complete(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / name, num_frames=4) for name in ("a.mp4", "segfault.mp4", "z.mp4")]
    config = small_config()
    cache = tmp_path / "cache"
    CacheHeader(config=config.to_json(), tools={}, modalities=config.modalities, classes=(), source="/").write(cache)
    run([make_task(clips, cache, config=config)], fragile_extraction)
    summary = build_index(cache)
    assert summary.num_videos == 2
    (failure,) = summary.failures
    assert (failure.video, failure.stage) == ("segfault.mp4", "worker")
    assert failure.reason == "twice its worker process was killed by SIGSEGV"
    assert sorted(path.name for path in (cache / "shards").iterdir()) == ["shard-00000.h5", "shard-00000.parquet"]


@pytest.mark.parametrize("misdeed", ["segfault", "exit", "hang"])
def test_with_several_videos_open_nobody_is_blamed(misdeed: str, tmp_path: Path) -> None:
    (task,) = make_tasks(tmp_path, ("a", "b", misdeed, "c", "d"))
    events = run([replace(task, in_flight=3)], fragile_side_by_side, time_limit=0.5)
    notes = [line.split(maxsplit=2)[2] for line in (tmp_path / "notes.txt").read_text().splitlines()]
    assert notes == ["3 at once without []", *["1 at once without []"] * 2, f"1 at once without ['{misdeed}']"]
    assert events[-1] == ShardFinished(number=0)
    progress = Progress(videos_total=5, videos_before=0)
    for event in events:
        progress.take(event)
    assert progress.finished == {"a", "b", "c", "d"}
    assert (progress.frames, progress.num_bytes) == (4 * FRAMES, 4 * NUM_BYTES)


def test_a_single_open_video_is_to_blame_however_many_could_be(tmp_path: Path) -> None:
    (task,) = make_tasks(tmp_path, ("a", "b", "c", "segfault"))
    run([replace(task, in_flight=3)], fragile_side_by_side)
    notes = (tmp_path / "notes.txt").read_text().splitlines()
    assert [note.split(maxsplit=2)[2] for note in notes] == [
        "3 at once without []",
        "1 at once without []",
        "1 at once without ['segfault']",
    ]


def test_what_killed_a_worker_among_videos_that_dali_decodes(tmp_path: Path) -> None:
    pytest.importorskip("nvidia.dali", reason="DALI is not installed")
    vp9 = {"codec": "libvpx-vp9", "options": {"auto-alt-ref": "0", "lag-in-frames": "0"}}
    clips = [write_clip(tmp_path / f"{name}.webm", num_frames=4, **vp9) for name in ("a", "b", "segfault", "z")]
    config = small_config()
    cache = tmp_path / "cache"
    CacheHeader(config=config.to_json(), tools={}, modalities=config.modalities, classes=(), source="/").write(cache)
    run([make_task(clips, cache, config=config, decoder="dali")], fragile_extraction)
    build_index(cache)
    videos = Cache(cache).videos
    assert {id_: info.decoder for id_, info in videos.items()} == dict.fromkeys(("a.webm", "b.webm", "z.webm"), "dali")
    (failure,) = Cache(cache).failures
    assert (failure.video, failure.reason) == ("segfault.webm", "twice its worker process was killed by SIGSEGV")


def test_a_death_in_one_worker_leaves_the_other_alone(tmp_path: Path) -> None:
    events = run(make_tasks(tmp_path, ("a",), ("segfault",), ("b",), ("c",), ("d",)), fragile, workers=2)
    assert sorted(event.number for event in events if isinstance(event, ShardFinished)) == [0, 1, 2, 3, 4]


def test_a_worker_that_was_killed_once_costs_no_video(tmp_path: Path) -> None:
    events = run(make_tasks(tmp_path, ("a", "b")), killed_once)
    assert [event for event in events if isinstance(event, VideoFinished)] == [
        VideoFinished(video="a"),
        VideoFinished(video="b"),
    ]


def test_two_ways_to_die_are_both_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    events = run(make_tasks(tmp_path, ("a", "b")), crashes_then_exits)
    assert [event for event in events if isinstance(event, VideoFinished)] == [VideoFinished(video="b")]
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning == (
        "a: its worker ended twice: its worker process was killed by SIGSEGV, "
        "then its worker process ended with status 9"
    )


def test_a_worker_that_hangs_while_no_video_is_open_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidprep.pipeline.engines.local._QUIET_SECONDS", 3.0)
    with pytest.raises(OutputError) as refused:
        run(make_tasks(tmp_path, ("a",)), hangs_outside_videos, time_limit=1)
    assert str(refused.value).startswith(
        "shard-00000 cannot be built: nothing came from the worker process for 3 seconds, and the worker was killed "
        "twice while no video was open; the same command"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names of signals")
def test_memory_is_suspected_only_where_the_kernel_killed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"killed by SIGKILL twice while .*; is the machine out of memory\? the same"):
        run(make_tasks(tmp_path, ("a",)), killed_outside_videos)


def test_a_worker_that_keeps_dying_outside_videos_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ended with status 3 twice while no video was open; the same command"):
        run(make_tasks(tmp_path, ("a",)), dies_outside_videos)
    assert (tmp_path / "notes.txt").read_text() == "attempt\n" * 2


def test_a_worker_that_dies_once_outside_videos_is_replaced(tmp_path: Path) -> None:
    events = run(make_tasks(tmp_path, ("a",)), dies_outside_videos_once)
    assert events[-1] == ShardFinished(number=0)


def test_trouble_with_the_cache_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^the disk is full$"):
        run(make_tasks(tmp_path, ("full",), ("hang",)), fragile, workers=2)
    _assert_ended(tmp_path)


def test_a_bug_outside_videos_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(VidprepError, match=r"^shard-00000 cannot be built: unexpected KeyError: 'a bug of ours'$"):
        run(make_tasks(tmp_path, ("bug",)), fragile)
    assert capfd.readouterr().err == ""


def test_an_interruption_ends_the_workers(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tasks(make_tasks(tmp_path, ("hang",)), devices=["cpu"], workers=1, on_event=interrupt, build=fragile)
    _assert_ended(tmp_path)


def test_no_more_workers_than_shards_and_devices_in_turn(tmp_path: Path) -> None:
    events: list[Event] = []
    run_tasks(make_tasks(tmp_path, ("a",), ("b",)), devices=["cpu"], workers=50, on_event=events.append, build=fragile)
    notes = (tmp_path / "notes.txt").read_text().splitlines()
    assert len(notes) == 2
    run_tasks([], devices=["cpu"], workers=2, on_event=events.append, build=fragile)  # nothing to do: no workers


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from fragile_builder import fragile, make_tasks
from vidprep.pipeline.engines.local import run_tasks
tasks = make_tasks(Path({str(tmp_path)!r}), ("hang",), ("hang too",))
run_tasks(tasks, devices=["cpu"], workers=2, on_event=lambda event: None, build=fragile)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: len(_worker_pids(tmp_path)) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _assert_ended(tmp_path)


def _assert_ended(folder: Path) -> None:
    _wait_for(lambda: not any(_is_running(pid) for pid in _worker_pids(folder)))


def _worker_pids(folder: Path) -> list[int]:
    notes = folder / "notes.txt"
    return [int(line.split()[1]) for line in notes.read_text().splitlines()] if notes.exists() else []


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # a container may have nobody who reaps orphans


def _wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
