"""The local engine: worker processes on this machine, replaced when a video kills or hangs one.

An engine only schedules. Each worker has one shard at a time; what it reports says whose fault a death may be: the
video it has started and not finished. The shard is built again one video at a time, for the death may have come from
outside (the kernel's, when memory is short); the second time, the same video is given up, and the shard built without
it. With several such videos, as DALI decodes them, nobody can tell, and nobody is blamed.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait

from ..errors import OutputError, VidprepError
from ..events import Advanced, Event, ShardFinished, VideoFinished, VideoStarted
from ..shard import ShardTask, build_shard
from .process import GRACE_SECONDS, WorkerProcess
from .worker import ShardBuilder, WorkerReady

logger = logging.getLogger(__name__)

DEFAULT_TIME_LIMIT = 120.0
_TICK_SECONDS = 0.5
_QUIET_SECONDS = 600.0  # that a worker may need for its imports, or to put a shard on a disk that is far away
_MOST_BLAMELESS_DEATHS = 2  # of workers on one shard, while no video was open


def run_tasks(
    tasks: Sequence[ShardTask],
    *,
    devices: Sequence[str],
    workers: int,
    time_limit: float = DEFAULT_TIME_LIMIT,
    on_event: Callable[[Event], None],
    build: ShardBuilder = build_shard,
) -> None:
    """Build all shards.

    Parameters
    ----------
    tasks
        What to build, first come first served.
    devices
        Handed to the workers in turn: worker i is pinned to ``devices[i % len(devices)]``.
    workers
        Number of processes, at least 1.
    time_limit
        Seconds that a video may go without a finished chunk of frames; then its worker is killed. While no video is
        open, a worker may be quiet for ten minutes, or as long as this if it is more.
    on_event
        Called in this thread with everything that the workers report. The reports of a shard that has to be built
        again are taken back with negative ``Advanced``.
    build
        What the workers do with a task; a function that can be imported by its name.

    Raises
    ------
    VidprepError
        What a worker could not get around (disk full, ``--on-error fail``). The other workers are stopped, and their
        unfinished shards removed.
    """
    queue = deque(tasks)
    record = _Record()
    pool: list[_Worker] = []
    try:
        for i in range(min(max(1, workers), len(queue))):
            pool.append(_Worker(devices[i % len(devices)], build, record))
        while True:
            for worker in pool:
                if worker.task is None and queue:
                    worker.assign(queue.popleft())
            busy = [worker for worker in pool if worker.task is not None]
            if not busy:
                return
            wait([worker.process.pipe for worker in busy], timeout=_TICK_SECONDS)
            for worker in busy:
                again = worker.attend(on_event, time_limit)
                if again is not None:
                    queue.appendleft(again)
    finally:
        _stop(pool)


@dataclass(slots=True)
class _Record:
    """What happened before, to any of the workers."""

    blameless_deaths: Counter[int] = field(default_factory=Counter)  # by shard
    blamed: dict[str, str] = field(default_factory=dict)  # video -> how its worker ended, once


class _Worker:
    """A process, renewed when it dies, and what it is doing."""

    def __init__(self, device: str, build: ShardBuilder, record: _Record) -> None:
        self._device, self._build, self._record = device, build, record
        self._reported: list[Advanced] = []  # of the shard in work
        self._open_videos: set[str] = set()  # started and not finished
        self.task: ShardTask | None = None
        self._start()

    def _start(self) -> None:
        self.process = WorkerProcess(self._device, self._build)
        self._ready = False
        self._last_sign = time.monotonic()

    def assign(self, task: ShardTask) -> None:
        """Give it a shard to build; the process gets it once it can take it, or else a long task would wait in a pipe
        that nobody reads, and this process with it.
        """
        assert self.task is None
        self.task, self._last_sign = task, time.monotonic()
        self._open_videos, self._reported = set(), []
        if self._ready:
            self.process.send(task)

    def attend(self, on_event: Callable[[Event], None], time_limit: float) -> ShardTask | None:
        """Take in what the worker says; return a task to queue again if it died or had to be killed."""
        messages, running = self.process.receive()
        for message in messages:
            self._take(message, on_event)
        if self.task is None:
            return None
        if not running:
            return self._bury(self.process.cause_of_death(), on_event)
        limit = time_limit if self._open_videos else max(time_limit, _QUIET_SECONDS)
        if time.monotonic() - self._last_sign > limit:
            self.process.kill()
            what = "no frame came out of its decoder" if self._open_videos else "nothing came from its worker process"
            return self._bury(f"{what} for {limit:g} seconds, and the worker was killed", on_event)
        return None

    def stop(self) -> None:
        """Have the process end by itself: one at work removes what is half written."""
        self.process.ask_to_leave(at_once=self.task is not None or not self._ready)

    def _take(self, message: Event | VidprepError | WorkerReady, on_event: Callable[[Event], None]) -> None:
        if isinstance(message, VidprepError):
            raise message
        self._last_sign = time.monotonic()
        if isinstance(message, WorkerReady):
            self._ready = True
            if self.task is not None:
                self.process.send(self.task)
            return
        if isinstance(message, VideoStarted):
            self._open_videos.add(message.video)
        elif isinstance(message, VideoFinished):
            self._open_videos.discard(message.video)  # one that was given up was not opened
        elif isinstance(message, Advanced):
            self._reported.append(message)
        elif isinstance(message, ShardFinished):
            self.task = None
        on_event(message)

    def _bury(self, reason: str, on_event: Callable[[Event], None]) -> ShardTask:
        """Replace the process; return the shard's task, without a video that is to blame for the second time."""
        assert self.task is not None
        task, suspects = self.task, self._open_videos
        for message in self._reported:
            on_event(Advanced(frames=-message.frames, num_bytes=-message.num_bytes))
        self.process.kill()
        self.task = None
        if suspects:
            task = _after_death(task, suspects, reason, self._record)
        else:
            self._record.blameless_deaths[task.plan.number] += 1
            if self._record.blameless_deaths[task.plan.number] >= _MOST_BLAMELESS_DEATHS:
                raise OutputError(_no_way(task, reason))
        self._start()
        return task


def _after_death(task: ShardTask, suspects: set[str], reason: str, record: _Record) -> ShardTask:
    """Return the task to go on with after a death with these videos open."""
    if len(suspects) > 1:
        assert task.in_flight > 1, suspects
        logger.info("%s: %s, with %d videos open; now one at a time", task.plan.name, reason, len(suspects))
        return replace(task, in_flight=1)
    (video,) = suspects
    before = record.blamed.get(video)
    if before is None:
        logger.info("%s: %s; once more", video, reason)
        record.blamed[video] = reason
        return replace(task, in_flight=1)
    reason = f"twice {reason}" if before == reason else f"its worker ended twice: {before}, then {reason}"
    logger.warning("%s: %s", video, reason)
    return replace(task, given_up=(*task.given_up, (video, "worker", reason)))


def _no_way(task: ShardTask, reason: str) -> str:
    what = reason.replace("its worker", "the worker", 1)
    question = "; is the machine out of memory?" if reason.endswith("SIGKILL") else ";"
    return (
        f"{task.plan.name} cannot be built: {what} twice while no video was open{question} "
        "the same command goes on where this run stopped"
    )


def _stop(pool: Sequence[_Worker]) -> None:
    """End all workers: kindly, so that they remove what is half written, then by force."""
    try:
        for worker in pool:
            worker.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in pool:
            worker.process.wait(deadline - time.monotonic())
    finally:  # also if somebody does not want to wait: a second Ctrl-C
        for worker in pool:
            worker.process.kill()
