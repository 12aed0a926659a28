"""TV-L1 flow of many pairs of frames on the CPU: pyramids built once, pairs shared between threads."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tvl1 import TVL1Parameters
from ..tvl1_tables import level_sizes
from ._team import new_team, work_together
from ._threads import num_threads, run_tasks
from .tvl1_levels import Buffers, help_solving, make_buffers, make_plan, solve
from .tvl1_planes import Planes, num_floats
from .tvl1_pyramid import build_pyramid

_WINDOW = 4  # pairs whose pyramids are in memory at once, for each thread, and more if they are small:
_WINDOW_BYTES = 1 << 24


def tvl1_flow_cpu(
    frames: Sequence[NDArray[Any]], pairs: Sequence[tuple[int, int]], parameters: TVL1Parameters
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

    Returns
    -------
    array
        ``(len(pairs), H, W, 2)`` float32.
    """
    height, width = frames[0].shape
    out = np.empty((len(pairs), height, width, 2), np.float32)
    sizes = level_sizes(height, width, parameters.num_scales, parameters.scale_factor)
    plan = make_plan(sizes, parameters)
    threads = num_threads()
    spare: SimpleQueue[Buffers] = SimpleQueue()
    for _ in range(min(threads, len(pairs))):
        spare.put(make_buffers(sizes[0]))
    at_once = max(_WINDOW * threads, _WINDOW_BYTES // (4 * sum(num_floats(*size, 1) for size in sizes)))
    pyramids: dict[int, Planes] = {}
    for begin in range(0, len(pairs), at_once):
        window = pairs[begin : begin + at_once]
        needed = {i for pair in window for i in pair}
        pyramids = {i: pyramids[i] for i in needed & pyramids.keys()}
        missing = sorted(needed - pyramids.keys())

        def build(i: int) -> None:
            frame = missing[i]  # noqa: B023
            pyramids[frame] = build_pyramid(  # noqa: B023
                frames[frame], sizes, parameters.scale_factor, parameters.presmoothing_sigma
            )

        def solve_pair(i: int, most: int = 1) -> None:
            buffers = spare.get()
            first, second = window[i]  # noqa: B023
            work = plan, buffers, pyramids[first], pyramids[second], out[begin + i]  # noqa: B023
            if most == 1:
                solve(new_team(), 1, *work)
            else:
                work_together(lambda team: solve(team, most, *work), lambda team: help_solving(team, *work), most)
            spare.put(buffers)

        run_tasks(build, len(missing))
        together = len(window) - len(window) % threads  # a thread for each pair; what is left over shares them all
        run_tasks(solve_pair, together)
        for i in range(together, len(window)):
            solve_pair(i, threads)
    return out
