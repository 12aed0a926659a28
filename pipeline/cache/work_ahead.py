"""Results ahead of whoever takes them, made by a thread, within a budget of bytes."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def work_ahead(
    jobs: Iterable[Job], work: Callable[[Job], Result], num_bytes: Callable[[Job], int], budget: int
) -> Iterator[Result]:
    """Yield ``work(job)`` of each job, in order, made by a thread while the results before are in use.

    Parameters
    ----------
    jobs
        Iterated by the thread, no further than it works.
    num_bytes
        What a job's result takes.
    budget
        Bytes of results that may wait to be taken, the one in the making included. One result is always made ahead.

    Raises
    ------
    Exception
        What ``jobs`` or ``work`` raised, when all results before have been taken. Nothing follows.
    RuntimeError
        In a process that was forked since, where that thread is not.
    """
    results = _Results[Result](budget)

    def fill() -> None:
        try:
            for job in jobs:
                size = num_bytes(job)
                if not results.wait_for_room(size):
                    return
                results.put(size, work(job))
            results.end(None)
        except BaseException as error:  # raised where the results are taken
            results.end(error)

    thread = threading.Thread(target=fill, name="vidprep-ahead", daemon=True)
    thread.start()
    try:
        yield from results
    finally:  # also if nobody wants more
        if results.process == os.getpid():
            results.close()
            if thread is not threading.current_thread():  # which it is if the garbage collector closes this there
                thread.join()


class _Results(Generic[Result]):
    """What was made and not yet taken."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._waiting: deque[tuple[int, Result]] = deque()
        self._bytes = 0  # of those
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self.process = os.getpid()

    def wait_for_room(self, size: int) -> bool:
        """Wait until a result of ``size`` bytes may be made; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting or self._bytes + size <= self._budget)
            return not self._closed

    def put(self, size: int, result: Result) -> None:
        with self._changed:
            if not self._closed:
                self._waiting.append((size, result))
                self._bytes += size
                self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Result]:
        while True:
            if self.process != os.getpid():  # before its lock is asked for, which nobody here may ever release
                raise RuntimeError("batches read ahead stay with the process that began to: begin anew after a fork")
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                size, result = self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
            yield result
            del result  # the consumer's alone
