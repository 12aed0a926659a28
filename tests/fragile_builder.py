"""Stand-ins for ``build_shard`` whose workers die, hang or fail, as a video's name says. Workers import this module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.errors import OutputError
from vidprep.pipeline.events import Advanced, Event, VideoFinished, VideoStarted
from vidprep.pipeline.plan import ShardPlan
from vidprep.pipeline.shard import ShardTask, build_shard
from vidprep.pipeline.videos import Video

FRAMES, NUM_BYTES = 10, 1000  # that every video reports, the deadly ones before they die


def make_tasks(folder: Path, *shards: tuple[str, ...]) -> list[ShardTask]:
    """Tasks of these video names; their cache is ``folder``."""
    return [
        ShardTask(
            plan=ShardPlan(number=number, videos=tuple(Video(id=name, path=folder / name) for name in names)),
            config=ExtractConfig(),
            cache=folder,
        )
        for number, names in enumerate(shards)
    ]


def fragile(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Pretend to work. ``segfault``, ``exit``, ``hang``, ``full`` and ``bug`` in a video's name say what happens."""
    given_up = {video for video, _, _ in task.given_up}
    _note(task, f"{task.plan.name} {os.getpid()} {device} without {sorted(given_up)}")
    for video in task.plan.videos:
        if video.id in given_up:
            continue
        report(VideoStarted(video=video.id))
        report(Advanced(frames=FRAMES, num_bytes=NUM_BYTES))
        _misbehave(video.id)
        report(VideoFinished(video=video.id))


def counts_threads(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Note how many threads CPU kernels have."""
    from vidprep.kernels.cpu._threads import num_threads

    _note(task, f"{task.plan.name} {num_threads()}")


def fragile_side_by_side(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """As ``fragile``, with ``task.in_flight`` videos open at a time, which misbehave when the last of them is."""
    given_up = {video for video, _, _ in task.given_up}
    _note(task, f"{task.plan.name} {os.getpid()} {task.in_flight} at once without {sorted(given_up)}")
    names = [video.id for video in task.plan.videos if video.id not in given_up]
    for start in range(0, len(names), task.in_flight):
        together = names[start : start + task.in_flight]
        for name in together:
            report(VideoStarted(video=name))
            report(Advanced(frames=FRAMES, num_bytes=NUM_BYTES))
        for name in together:
            _misbehave(name)
        for name in together:
            report(VideoFinished(video=name))


def fragile_extraction(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Build the shard in truth, but die or hang at a video that is called so, in the middle of its work."""

    def watched(event: Event) -> None:
        report(event)
        if isinstance(event, VideoStarted):
            _misbehave(event.video)

    build_shard(task, device, watched)


def killed_once(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Be killed from outside in the middle of the first video, the first time."""
    _note(task, "attempt")
    if _attempts(task) == 1:
        report(VideoStarted(video=task.plan.videos[0].id))
        os.kill(os.getpid(), signal.SIGKILL)
    fragile(task, device, report)


def crashes_then_exits(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Die in the first video, each time in another way, until it is given up."""
    _note(task, "attempt")
    if not task.given_up:
        report(VideoStarted(video=task.plan.videos[0].id))
        _misbehave("segfault" if _attempts(task) == 1 else "exit")
    fragile(task, device, report)


def hangs_outside_videos(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Hang before any video is open."""
    _note(task, "attempt")
    time.sleep(1000)


def killed_outside_videos(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Be killed from outside before any video is open."""
    _note(task, "attempt")
    os.kill(os.getpid(), signal.SIGKILL)


def dies_outside_videos(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Die before any video is open."""
    _note(task, "attempt")
    os._exit(3)


def dies_outside_videos_once(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Die before any video is open, but only the first time."""
    _note(task, "attempt")
    if _attempts(task) == 1:
        os._exit(3)
    fragile(task, device, report)


def _misbehave(name: str) -> None:
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif "exit" in name:
        os._exit(9)
    elif "hang" in name:
        time.sleep(1000)
    elif "full" in name:
        raise OutputError("the disk is full")
    elif "bug" in name:
        raise KeyError("a bug of ours")


def _attempts(task: ShardTask) -> int:
    return (task.cache / "notes.txt").read_text().count("attempt")


def _note(task: ShardTask, line: str) -> None:
    with (task.cache / "notes.txt").open("a") as file:
        file.write(line + "\n")
