"""The local engine: worker processes on this machine, replaced when a video kills or hangs one.

An engine only schedules. Each worker has one shard at a time; what it reports says whose fault a death is: the video
it has started and not finished. That video is given up, and the shard is built again without it. With several such
videos, as DALI decodes them, nobody can tell: the shard is built again one video at a time.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..errors import OutputError, VidprepError
from ..events import Advanced, Event, ShardFinished, VideoFinished, VideoStarted
from ..shard import ShardTask, build_shard
from .worker import ShardBuilder, run_worker

logger = logging.getLogger(__name__)

DEFAULT_TIME_LIMIT = 120.0
_TICK_SECONDS = 0.5
_GRACE_SECONDS = 5.0
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
        Seconds that a video may go without a finished chunk of frames; then its worker is killed.
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
    deaths: Counter[int] = Counter()
    pool = [_Worker(devices[i % len(devices)], deaths, build) for i in range(max(1, min(workers, len(queue))))]
    try:
        for worker in pool:
            worker.start()
        while True:
            for worker in pool:
                if worker.task is None and queue:
                    worker.assign(queue.popleft())
            busy = [worker for worker in pool if worker.task is not None]
            if not busy:
                return
            wait([handle for worker in busy for handle in worker.handles()], timeout=_TICK_SECONDS)
            for worker in busy:
                again = worker.attend(on_event, time_limit)
                if again is not None:
                    queue.appendleft(again)
    finally:
        _stop(pool)


@dataclass(slots=True)
class _Worker:
    """A process, the pipe to it, and what it is doing."""

    device: str
    blameless_deaths: Counter[int]  # by shard, shared by all workers
    build: ShardBuilder
    process: BaseProcess | None = None
    pipe: Connection | None = None
    task: ShardTask | None = None
    open_videos: set[str] = field(default_factory=set)  # started and not finished
    last_sign: float = 0.0
    reported: list[Advanced] = field(default_factory=list)  # of the shard in work

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads, or with CUDA, may hang
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=run_worker, args=(theirs, self.device, self.build), daemon=True)
        self.process.start()
        theirs.close()

    def assign(self, task: ShardTask) -> None:
        assert self.pipe is not None
        self.task, self.last_sign = task, time.monotonic()
        self.open_videos, self.reported = set(), []
        try:
            self.pipe.send(task)
        except (BrokenPipeError, ConnectionResetError):
            logger.debug("a worker died before it got its shard")  # attend() finds out and replaces it

    def handles(self) -> list[Connection | int]:
        assert self.pipe is not None
        assert self.process is not None
        return [self.pipe, self.process.sentinel]

    def attend(self, on_event: Callable[[Event], None], time_limit: float) -> ShardTask | None:
        """Take in what the worker says; return a task to queue again if it died or had to be killed."""
        assert self.pipe is not None
        assert self.process is not None
        alive = self.process.is_alive()  # asked before the pipe is emptied: nothing is sent after death
        messages, ended = _receive_all(self.pipe)
        for message in messages:
            self._take(message, on_event)
        if ended:
            alive = False
            self.process.join()
        if self.task is None:
            return None
        if not alive:
            return self._bury(self._cause_of_death(), on_event)
        if self.open_videos and time.monotonic() - self.last_sign > time_limit:
            self.process.kill()
            self.process.join()
            reason = f"no frame came out of its decoder for {time_limit:g} seconds, and the worker was killed"
            return self._bury(reason, on_event)
        return None

    def _take(self, message: Event | VidprepError, on_event: Callable[[Event], None]) -> None:
        if isinstance(message, VidprepError):
            raise message
        self.last_sign = time.monotonic()
        if isinstance(message, VideoStarted):
            self.open_videos.add(message.video)
        elif isinstance(message, VideoFinished):
            self.open_videos.discard(message.video)  # one that was given up was not opened
        elif isinstance(message, Advanced):
            self.reported.append(message)
        elif isinstance(message, ShardFinished):
            self.task = None
        on_event(message)

    def _cause_of_death(self) -> str:
        assert self.process is not None
        self.process.join()
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its worker process was killed by {signal.Signals(-code).name}"
        return f"its worker process ended with status {code}"

    def _bury(self, reason: str, on_event: Callable[[Event], None]) -> ShardTask:
        """Replace the process; return the shard's task without the video that is to blame, or such that one can be."""
        assert self.task is not None
        assert self.pipe is not None
        task, suspects = self.task, self.open_videos
        for message in self.reported:
            on_event(Advanced(frames=-message.frames, num_bytes=-message.num_bytes))
        self.pipe.close()
        self.task, self.open_videos = None, set()
        number = task.plan.number
        if not suspects:
            self.blameless_deaths[number] += 1
            if self.blameless_deaths[number] >= _MOST_BLAMELESS_DEATHS:
                raise OutputError(
                    f"{task.plan.name} cannot be built: {reason.replace('its worker', 'the worker', 1)} twice while no "
                    "video was open; is the machine out of memory? The cache can be resumed with the same command"
                )
        elif len(suspects) > 1:
            assert task.in_flight > 1, suspects
            logger.info("%s: %s, with %d videos open; now one at a time", task.plan.name, reason, len(suspects))
            task = replace(task, in_flight=1)
        else:
            (video,) = suspects
            logger.warning("%s: %s", video, reason)
            task = replace(task, given_up=(*task.given_up, (video, "worker", reason)))
        self.start()
        return task


def _receive_all(pipe: Connection) -> tuple[list[Event | VidprepError], bool]:
    """Return the messages that wait in a pipe, and whether its other end is closed."""
    messages: list[Event | VidprepError] = []
    try:
        while pipe.poll():
            messages.append(pipe.recv())
    except (EOFError, OSError):  # the latter if death came in the middle of a message
        return messages, True
    return messages, False


def _stop(pool: Sequence[_Worker]) -> None:
    """End all workers: kindly, so that they remove what is half written, then by force."""
    processes = [worker.process for worker in pool if worker.process is not None]
    for worker in pool:
        if worker.process is not None and worker.task is not None:
            worker.process.terminate()
        if worker.pipe is not None:
            worker.pipe.close()
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
