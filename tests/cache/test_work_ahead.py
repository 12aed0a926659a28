"""Tests of results made ahead."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from vidprep.pipeline.cache.work_ahead import work_ahead


def _threads() -> int:
    return sum(thread.name == "vidprep-ahead" for thread in threading.enumerate())


def test_results_come_in_order() -> None:
    assert list(work_ahead(range(50), lambda job: job * job, lambda job: 1, 7)) == [job * job for job in range(50)]
    assert list(work_ahead([], lambda job: job, lambda job: 1, 7)) == []
    assert _threads() == 0


@pytest.mark.parametrize(("budget", "ahead"), [(30, 3), (39, 3), (1, 1), (10**9, 20)])
def test_no_more_waits_than_the_budget_allows(budget: int, ahead: int) -> None:
    """Of 10 bytes each; one is made ahead even if it alone is more than the budget."""
    begun = []
    pause = threading.Event()

    def work(job: int) -> int:
        begun.append(job)
        if len(begun) == 1 + ahead:
            pause.set()
        return job

    results = work_ahead(range(21), work, lambda job: 10, budget)
    assert next(results) == 0
    assert pause.wait(10)
    # The thread has begun all that it may: it would have to be given room for another one.
    assert len(begun) == 1 + ahead
    assert next(results) == 1
    assert list(results) == list(range(2, 21))


def test_errors_come_after_what_was_made_before() -> None:
    def work(job: int) -> int:
        if job == 3:
            raise OSError("the disk")
        return job

    results = work_ahead(range(9), work, lambda job: 1, 100)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk"):
        next(results)
    assert list(results) == []
    assert _threads() == 0


def test_errors_of_the_jobs() -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise ValueError("no more jobs")

    results = work_ahead(jobs(), lambda job: job, lambda job: 1, 100)
    assert next(results) == 1
    with pytest.raises(ValueError, match="no more jobs"):
        next(results)


def test_the_thread_ends_with_who_takes() -> None:
    begun = []
    results = work_ahead(iter(range(10**9)), begun.append, lambda job: 1, 4)
    next(results)
    results.close()
    assert _threads() == 0
    assert len(begun) <= 7


def test_a_forked_process_is_told_that_the_thread_is_elsewhere() -> None:
    results = work_ahead(range(9), lambda job: job, lambda job: 1, 1)
    assert next(results) == 0
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # instead of waiting for ever
        try:
            next(results)
        except RuntimeError as error:
            os._exit(0 if "begin anew after a fork" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert list(results) == list(range(1, 9))


def test_the_garbage_collector_may_end_it_in_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an iterator that nobody can reach any more, but for itself."""
    dropped, errors = threading.Event(), []
    monkeypatch.setattr("sys.unraisablehook", errors.append)

    def work(job: int) -> int:
        if job == 1:
            dropped.wait(10)
            gc.collect()
        return job

    def drop() -> None:
        cycle: list[Any] = [work_ahead(range(9), work, lambda job: 1, 1)]
        cycle.append(cycle)
        assert next(cycle[0]) == 0

    gc.disable()
    try:
        drop()
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "vidprep-ahead")
        dropped.set()
        thread.join(10)
    finally:
        gc.enable()
    assert not thread.is_alive()
    assert errors == []
