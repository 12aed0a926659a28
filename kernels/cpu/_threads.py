"""Threads for compiled kernels: pieces of work that release the GIL, on the cores that this process may use.

Numba's own threading is not used: its layers are not safe when several Python threads call kernels at once, or after
a fork. Here helpers are plain Python threads that live on between calls; the calling thread takes part, so a call
finishes even if all helpers are busy with somebody else's work.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_local = threading.local()
_lock = threading.Lock()
_num_threads: int | None = None
_pool: ThreadPoolExecutor | None = None


def num_threads() -> int:
    """Return how many threads a kernel may use: what was set, else the cores of this process; 1 inside a task."""
    return 1 if getattr(_local, "busy", False) else _team()


def _team() -> int:
    if _num_threads is not None:
        return _num_threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(count: int | None) -> None:
    """Let kernels use ``count`` threads, the calling one included; ``None`` goes back to the default.

    Raises
    ------
    ValueError
        If ``count`` is not a positive integer.
    """
    global _num_threads
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"the number of threads must be a positive integer or None, got {count!r}")
    _num_threads = count
    _forget_pool()  # calls under way keep theirs


def run_tasks(function: Callable[[int], object], count: int) -> None:
    """Call ``function(0)`` to ``function(count - 1)``, each once, in any order, and return when all are done.

    A task that itself calls this runs its own tasks one by one: the threads are taken already. After an error no
    further task begins; the error of the lowest task that failed is raised.
    """
    if min(num_threads(), count) < 2:
        for i in range(count):
            function(i)
        return
    order = itertools.count()  # next() on it is atomic
    errors: list[tuple[int, BaseException]] = []

    def work() -> None:
        _local.busy = True
        try:
            while not errors and (i := next(order)) < count:
                try:
                    function(i)
                except BaseException as error:  # handed to the caller below
                    errors.append((i, error))
        finally:
            _local.busy = False

    run_with_helpers(work, work, count - 1)
    if errors:
        raise min(errors, key=lambda item: item[0])[1]


def run_with_helpers(function: Callable[[], object], help_it: Callable[[], object], most: int) -> None:
    """Call ``function()`` here, and ``help_it()`` in up to ``most`` other threads that come free while it runs.

    Return when all are back, so ``help_it`` has to end when ``function`` has.
    """
    futures = _call_helpers(help_it, min(num_threads() - 1, most))
    try:
        function()
    finally:
        under_way = [future for future in futures if not future.cancel()]
        wait(under_way)
    for future in under_way:
        future.result()


def _call_helpers(help_it: Callable[[], object], count: int) -> list[Future[object]]:
    pool = _helpers()
    futures: list[Future[object]] = []
    for _ in range(count):
        try:
            futures.append(pool.submit(help_it))
        except RuntimeError:  # the interpreter ends, or the system gives no more threads: with those there are, then
            break
    return futures


def _helpers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _team() - 1), thread_name_prefix="vidprep-kernel")
        return _pool


def _forget_pool() -> None:
    global _pool
    with _lock:
        _pool = None  # its idle threads end when nobody refers to it any more


def _after_fork() -> None:
    global _lock, _pool
    _lock, _pool = threading.Lock(), None  # a child has none of its parent's threads, and nobody to unlock for it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
