"""Tests of results made ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

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
