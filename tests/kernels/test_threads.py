"""Threads for kernels: every task once, errors to the caller, nesting, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from vidprep.kernels.cpu._threads import num_threads, run_tasks, run_with_helpers, set_num_threads


@pytest.fixture(params=[1, 2, 5], autouse=True)
def threads(request: pytest.FixtureRequest):
    set_num_threads(request.param)
    yield request.param
    set_num_threads(None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_every_task_runs_once(count: int) -> None:
    done: list[int] = []
    run_tasks(done.append, count)
    assert sorted(done) == list(range(count))


def test_tasks_run_at_the_same_time(threads: int) -> None:
    together = threading.Barrier(threads)
    run_tasks(lambda _: together.wait(20), threads)


@pytest.mark.parametrize("most", [0, 1, 10])
def test_helpers_come_while_the_work_lasts(threads: int, most: int) -> None:
    helpers = min(threads - 1, most)
    together, over = threading.Barrier(1 + helpers), threading.Event()
    helped: list[int] = []

    def work() -> None:
        together.wait(20)
        over.set()

    def help_it() -> None:
        together.wait(20)
        over.wait(20)
        helped.append(1)

    run_with_helpers(work, help_it, most)
    assert len(helped) == helpers


def test_an_error_of_the_work_or_of_a_helper_reaches_the_caller(threads: int) -> None:
    over = threading.Event()

    def fail() -> None:
        over.set()
        raise KeyError("work")

    with pytest.raises(KeyError, match="work"):
        run_with_helpers(fail, lambda: over.wait(20), 3)
    if threads > 1:
        begun = threading.Event()

        def fail_to_help() -> None:
            begun.set()
            raise KeyError("help")

        with pytest.raises(KeyError, match="help"):
            run_with_helpers(lambda: begun.wait(20), fail_to_help, 1)


def test_an_error_reaches_the_caller_and_stops_the_rest() -> None:
    started: list[int] = []

    def task(i: int) -> None:
        started.append(i)
        raise KeyError(i)

    with pytest.raises(KeyError, match="0"):
        run_tasks(task, 1000)
    assert len(started) < 1000
    run_tasks(started.append, 3)  # and the threads are still good


def test_tasks_may_have_tasks() -> None:
    done: list[tuple[int, int]] = []
    run_tasks(lambda i: run_tasks(lambda j: done.append((i, j)), 4), 6)
    assert sorted(done) == [(i, j) for i in range(6) for j in range(4)]


def test_many_callers_at_once() -> None:
    done: list[int] = []
    callers = [threading.Thread(target=run_tasks, args=(done.append, 50)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert sorted(done) == sorted(list(range(50)) * 8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_works_in_a_forked_child() -> None:
    run_tasks(lambda _: None, 4)  # threads exist now
    child = os.fork()
    if child == 0:
        done: list[int] = []
        run_tasks(done.append, 10)
        os._exit(0 if sorted(done) == list(range(10)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("before", ["", "run_tasks(print, 4)"])
def test_works_while_the_interpreter_ends(before: str) -> None:
    script = f"""
import atexit, threading
from vidprep.kernels.cpu._threads import run_tasks, set_num_threads

def later():
    threading.main_thread().join()
    run_tasks(print, 4)

set_num_threads(3)
{before}
threading.Thread(target=later).start()
atexit.register(run_tasks, print, 4)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == sorted("0123" * (3 if before else 2))


def test_the_default_is_the_cores_of_this_process() -> None:
    set_num_threads(None)
    assert 1 <= num_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_refuses_other_numbers(count: object) -> None:
    with pytest.raises(ValueError, match="positive integer or None"):
        set_num_threads(count)  # type: ignore[arg-type]
