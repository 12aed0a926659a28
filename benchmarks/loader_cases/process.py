"""A contender in a process of its own: it opens its stores, shows that it delivers the right clips, then waits."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from .case import CROP, FRAME, LENGTH, Contender, Task

_MOST_DIFFERENCE = 2.0  # grey levels, on average, between ways of decoding and resizing


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One turn: ``num_bytes`` were delivered; processor time and bytes from the disk are of the workers too."""

    num_clips: int
    num_bytes: int
    seconds: float
    cpu_seconds: float
    disk_bytes: int

    @property
    def speed(self) -> float:
        """Clips/s."""
        return self.num_clips / self.seconds


class Runner:
    """The other end of a contender's process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def run(self) -> Run:
        """Let it go through all its clips once."""
        self._pipe.send("go")
        found: Run = self._pipe.recv()
        return found


@contextmanager
def running(contender: Contender, task: Task, *, again: bool = False) -> Iterator[Runner]:
    """Start a contender's process and wait until it is ready.

    Parameters
    ----------
    again
        Whether it opens its stores again after the check: pages that it has mapped could not be dropped from memory.

    Raises
    ------
    SystemExit
        If it ends instead, having said why.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # No daemon, because those must not have workers.
    process = context.Process(target=_serve, args=(theirs, contender, task, again))
    process.start()
    theirs.close()
    try:
        try:
            ours.recv()
        except EOFError:
            raise SystemExit(f"{contender.name} cannot take part: choose others with --only") from None
        yield Runner(ours)
    finally:
        ours.close()  # it ends when it reads that
        process.join()


def _serve(pipe: Connection, contender: Contender, task: Task, again: bool) -> None:
    epoch = contender.open(task)
    check(contender, task, epoch())
    if again:
        del epoch
        gc.collect()
        epoch = contender.open(task)
    pipe.send("ready")
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        num_clips = num_bytes = 0
        cpu, disk, start = _cpu_seconds(), _disk_bytes(), time.perf_counter()
        for batch in epoch():
            num_clips += len(batch)
            num_bytes += batch.nbytes
        pipe.send(
            Run(
                num_clips=num_clips,
                num_bytes=num_bytes,
                seconds=time.perf_counter() - start,
                cpu_seconds=_cpu_seconds() - cpu,
                disk_bytes=_disk_bytes() - disk,
            )
        )


def check(contender: Contender, task: Task, batches: Iterator[Any]) -> None:
    """Hold the clips against those of the task; this also warms up everything.

    Raises
    ------
    SystemExit
        If they are not the same, or not near.
    """
    wanted = np.load(task.root / "clips.npy", mmap_mode="r")
    done = 0
    for batch in batches:
        clips = np.asarray(batch)
        if contender.same_clips:
            assert clips.shape[1:] == (LENGTH, *CROP, FRAME[2]), clips.shape
            expected = wanted[list(task.places[done : done + len(clips)])]
            far = np.mean(np.abs(clips.astype(np.int16) - expected)) > _MOST_DIFFERENCE
            if far or (contender.exact and not np.array_equal(clips, expected)):
                raise SystemExit(f"{contender.name} delivers other clips than the cache holds: no fair comparison")
        done += len(clips)
    if done < len(task.clips):
        raise SystemExit(f"{contender.name} delivers {done} clips instead of {len(task.clips)}: no fair comparison")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    ticks = sum(sum(map(int, text.rpartition(")")[2].split()[11:13])) for text in _of_workers("stat"))
    return used.ru_utime + used.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _disk_bytes() -> int:
    """By the kernel's count; 0 where it keeps none."""
    own = Path("/proc/self/io")
    texts = [*([own.read_text()] if own.exists() else []), *_of_workers("io")]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("read_bytes:"))


def _of_workers(name: str) -> list[str]:
    """What the kernel says about each worker process, on Linux."""
    paths = [Path(f"/proc/{child.pid}/{name}") for child in multiprocessing.active_children()]
    return [path.read_text() for path in paths if path.exists()]
