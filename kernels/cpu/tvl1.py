"""TV-L1 flow of many pairs of frames on the CPU: pyramids built once, pairs shared between threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tvl1_parameters import TVL1Parameters
from ..tvl1_tables import level_sizes
from ._team import new_team, work_together
from ._threads import num_threads, run_tasks
from .tvl1_levels import Buffers, help_solving, make_buffers, make_plan, solve
from .tvl1_planes import Planes
from .tvl1_pyramid import build_pyramid

_REACH = 4  # pairs, for each thread, that a pyramid waits for to be used again; else it is built again

_SHARED_PIXELS = 1 << 15  # smaller frames are done before another thread has woken


def tvl1_flow_cpu(
    frames: Sequence[NDArray[Any]],
    pairs: Sequence[tuple[int, int]],
    parameters: TVL1Parameters,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Solve pairs of frames.

    Parameters
    ----------
    frames
        ``(H, W)`` each, uint8 or float32, all of one size.
    pairs
        Indices of first and second frame; each frame's pyramid is built once if the pairs that need it are near
        each other.
    parameters
        Of the method.
    out
        Where the result goes, if not into a new array.

    Returns
    -------
    array
        ``(len(pairs), H, W, 2)`` float32.
    """
    height, width = frames[0].shape
    flow = np.empty((len(pairs), height, width, 2), np.float32) if out is None else out
    sizes = level_sizes(height, width, parameters.num_scales, parameters.scale_factor)
    plan = make_plan(sizes, parameters)
    threads = num_threads()
    spare: SimpleQueue[Buffers] = SimpleQueue()
    for _ in range(min(threads, len(pairs))):
        spare.put(make_buffers(sizes[0]))

    def build(i: int, memory: Planes | None, scratch: Planes | None) -> Planes:
        return build_pyramid(frames[i], sizes, parameters.scale_factor, parameters.presmoothing_sigma, memory, scratch)

    pyramids = _Pyramids(build, pairs, _REACH * threads)

    def solve_pair(i: int, most: int = 1) -> None:
        buffers = spare.get()
        work = plan, buffers, *(pyramids.take(frame, buffers.state) for frame in pairs[i]), flow[i]
        if most == 1:
            solve(new_team(), 1, *work)
        else:
            work_together(lambda team: solve(team, most, *work), lambda team: help_solving(team, *work), most)
        pyramids.release(i)
        spare.put(buffers)

    together = len(pairs)  # a thread for each pair; but what is left over, if it is large, shares them all
    if height * width >= _SHARED_PIXELS:
        together -= together % threads
    run_tasks(solve_pair, together)
    for i in range(together, len(pairs)):
        run_tasks(lambda which: pyramids.take(pairs[i][which]), 2)  # noqa: B023
        solve_pair(i, threads)
    return flow


_Build = Callable[[int, Planes | None, Planes | None], Planes]  # of a frame, with memory for it and scratch memory


class _Pyramids:
    """Pyramids of frames: built when the first pair asks for one, and kept while one of the next ``reach`` pairs will.

    So few are in memory at a time, and these are used while they are in the cache.
    """

    def __init__(self, build: _Build, pairs: Sequence[tuple[int, int]], reach: int) -> None:
        self._build = build
        self._pairs = pairs
        self._reach = reach
        self._users: dict[int, set[int]] = {}  # of each frame, the pairs still to come
        for i, pair in enumerate(pairs):
            for frame in pair:
                self._users.setdefault(frame, set()).add(i)
        self._locks = {frame: Lock() for frame in self._users}
        self._built: dict[int, Planes] = {}
        self._free: list[Planes] = []

    def take(self, frame: int, scratch: Planes | None = None) -> Planes:
        """Return a frame's pyramid; who comes while it is being built waits for it."""
        with self._locks[frame]:
            if frame not in self._built:
                try:
                    memory = self._free.pop()
                except IndexError:
                    memory = None
                self._built[frame] = self._build(frame, memory, scratch)
            return self._built[frame]

    def release(self, pair: int) -> None:
        """Say that a pair is done."""
        for frame in set(self._pairs[pair]):
            with self._locks[frame]:
                users = self._users[frame]
                users.remove(pair)
                if all(user > pair + self._reach for user in users):
                    memory = self._built.pop(frame, None)
                    if memory is not None and not users:  # else another pair may be at it
                        self._free.append(memory)
