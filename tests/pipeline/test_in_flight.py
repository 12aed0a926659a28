"""Works side by side: each in its place, however long it takes."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.pipeline.in_flight import in_flight


class Countdown:
    """A work of some steps, of which the last ones wait; it writes down what happens to it."""

    def __init__(self, name: int, steps: int, waiting: int, log: list[tuple[str, int]]) -> None:
        self.name, self.left, self.waiting, self.log = name, steps, waiting, log
        self.closed = False
        log.append(("start", name))

    @property
    def done(self) -> bool:
        return self.left == 0

    @property
    def waits(self) -> bool:
        return self.left <= self.waiting

    def step(self) -> None:
        assert not self.done
        self.left -= 1
        self.log.append(("step", self.name))

    def close(self) -> None:
        self.closed = True


def run(shapes: list[tuple[int, int]], limit: int) -> tuple[list[int], list[tuple[str, int]]]:
    """The order of the works yielded, of ``(steps, waiting)`` each, and the log."""
    log: list[tuple[str, int]] = []
    order = []
    for work in in_flight(enumerate(shapes), lambda item: Countdown(item[0], *item[1], log), limit):
        assert work.done
        assert not work.closed
        order.append(work.name)
        log.append(("yield", work.name))
    return order, log


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=8), st.integers(1, 5))
def test_in_order_with_all_steps_and_never_more_than_the_limit(shapes: list[tuple[int, int]], limit: int) -> None:
    order, log = run(shapes, limit)
    assert order == list(range(len(shapes)))
    begun = ended = 0
    for what, name in log:
        begun += what == "start"
        ended += what == "yield"
        assert begun - ended <= limit
        assert what != "step" or name < begun
    assert sum(what == "step" for what, _ in log) == sum(steps for steps, _ in shapes)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=8), st.integers(1, 5))
def test_a_step_that_waits_comes_after_everything_before_it(shapes: list[tuple[int, int]], limit: int) -> None:
    _, log = run(shapes, limit)
    left = [steps for steps, _ in shapes]
    yielded = 0
    for i, (what, name) in enumerate(log):
        yielded += what == "yield"
        if what == "step":
            is_first_step = log[i - 1] == ("start", name)
            assert is_first_step or left[name] > shapes[name][1] or yielded == name
            left[name] -= 1


def test_one_at_a_time_is_a_plain_loop() -> None:
    _, log = run([(2, 0), (1, 1)], 1)
    assert log == [("start", 0), ("step", 0), ("step", 0), ("yield", 0), ("start", 1), ("step", 1), ("yield", 1)]


def test_all_that_are_begun_go_on_while_the_first_does() -> None:
    _, log = run([(4, 0), (4, 0), (4, 1), (9, 0)], 3)
    first = log[: log.index(("yield", 0))]
    assert [first.count(("step", name)) for name in range(4)] == [4, 4, 3, 0]


def test_closing_closes_what_was_begun() -> None:
    begun: list[Countdown] = []

    def start(steps: int) -> Countdown:
        begun.append(Countdown(len(begun), steps, 0, []))
        return begun[-1]

    works: Generator[Countdown, None, None] = in_flight([1, 9, 9, 9], start, 3)
    assert next(works) is begun[0]
    works.close()
    assert [work.closed for work in begun] == [False, True, True]


def test_an_error_closes_all_that_were_begun() -> None:
    begun: list[Countdown] = []

    def start(steps: int) -> Countdown:
        if steps == 0:
            raise OSError("no more")
        begun.append(Countdown(len(begun), steps, 0, []))
        return begun[-1]

    with pytest.raises(OSError, match="no more"):
        next(in_flight([5, 5, 0], start, 3))
    assert [work.closed for work in begun] == [True, True]
