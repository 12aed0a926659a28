"""Several pieces of work side by side, ended in order: so that all of a GPU's decoders have something to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar

IN_FLIGHT = 8  # videos at once: more than any GPU has NVDEC engines (7), so that none waits


class Work(Protocol):
    """Something that is done step by step.

    Attributes
    ----------
    done
        No step is left.
    waits
        The next step is to be made when everything before it is done, and not sooner.
    """

    @property
    def done(self) -> bool: ...

    @property
    def waits(self) -> bool: ...

    def step(self) -> None: ...

    def close(self) -> None: ...


_Item = TypeVar("_Item")
_Work = TypeVar("_Work", bound=Work)


def in_flight(items: Iterable[_Item], start: Callable[[_Item], _Work], limit: int) -> Generator[_Work, None, None]:
    """Take the steps of several works in turn, and yield the works in order, each when it is done.

    It is always the next ``limit`` ones that are in work, so what they hold is bounded, and which steps are made in
    which order depends on the works alone, not on time. With a limit of 1 this is a plain loop.

    Parameters
    ----------
    items
        Taken when a place is free.
    start
        Makes an item's work; its first step follows at once.
    limit
        Works begun and not yet yielded, at most.

    Yields
    ------
    work
        Done. Works that were begun and are not yielded are closed when this is.
    """
    waiting = iter(items)
    begun: deque[_Work] = deque()
    try:
        while True:
            while len(begun) < limit and (item := next(waiting, None)) is not None:
                begun.append(start(item))
                begun[-1].step()
            if not begun:
                return
            first = begun[0]
            while not first.done:
                for work in begun:
                    if not work.done and (work is first or not work.waits):
                        work.step()
            yield begun.popleft()
    finally:
        for work in begun:
            work.close()
