"""A worker process of the local engine: takes shard tasks from a pipe, builds them, reports into the same pipe."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType

from ...kernels.cpu._threads import set_num_threads
from ..devices import use_device
from ..errors import VidprepError
from ..events import Event, ShardFinished
from ..shard import ShardTask

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


ShardBuilder = Callable[[ShardTask, str, Callable[[Event], None]], None]
"""Builds a task's shard on a device, and reports: ``build_shard``, or what a test puts in its place."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """What a worker says first: that it got through its imports, and waits for a task."""


def main(pipe_number: int) -> None:
    """Be a worker, on the pipe with this file descriptor. Its first message says on which device, and what it does."""
    os.set_inheritable(pipe_number, False)
    with Connection(pipe_number) as pipe:
        try:
            device, build = pipe.recv()
        except (EOFError, ConnectionResetError):
            logger.debug("the parent has gone")
        else:
            run_worker(pipe, device, build)


def run_worker(pipe: Connection, device: str, build: ShardBuilder) -> None:
    """Serve until the pipe closes.

    Receives ``ShardTask``s; sends ``WorkerReady`` once, ``Event``s, and a ``VidprepError`` when a shard cannot be built
    at all.
    """
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the whole group: the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # it was held back until here
    signal.signal(signal.SIGTERM, _leave)
    gc.collect()
    gc.freeze()  # what the imports made lives as long as the process: the collector need not go through it again
    try:
        use_device(device)
        pipe.send(WorkerReady())
        while True:
            task = pipe.recv()
            assert isinstance(task, ShardTask)
            set_num_threads(task.kernel_threads)
            try:
                build(task, device, pipe.send)
            except VidprepError as error:
                pipe.send(error)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # outside of any video: the run cannot go on, and says so in one sentence
                logger.debug("unexpected error in %s", task.plan.name, exc_info=True)
                pipe.send(VidprepError(f"{task.plan.name} cannot be built: unexpected {type(error).__name__}: {error}"))
            else:
                finished: Event = ShardFinished(number=task.plan.number)
                pipe.send(finished)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        logger.debug("the parent has gone")


def _leave(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_IGN)  # once is enough: the way out shall not be cut short
    sys.exit(128 + signum)  # unwinds: the half-written shard is removed on the way


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even by SIGKILL in the middle of a decode (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
