"""TV-L1 flow on the CPU: coarse to fine, over warps, over rounds of iterations and medians."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tvl1 import TVL1Parameters
from ..tvl1_tables import level_sizes
from ._threads import num_threads, run_tasks
from .tvl1_median import median_filter
from .tvl1_planes import Planes, num_floats, planes_in
from .tvl1_pyramid import build_pyramid, upsample_flow
from .tvl1_solver import DUAL_PLANES, FLOW_PLANES, STATE_PLANES, flow_vectors, iterate
from .tvl1_warp import linearise

_WINDOW = 4  # pairs whose pyramids are in memory at once, for each thread


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
    threads = num_threads()
    spare: SimpleQueue[_Solver] = SimpleQueue()
    for _ in range(min(threads, len(pairs))):
        spare.put(_Solver(sizes, parameters))
    pyramids: dict[int, list[Planes]] = {}
    for begin in range(0, len(pairs), _WINDOW * threads):
        window = pairs[begin : begin + _WINDOW * threads]
        needed = {i for pair in window for i in pair}
        pyramids = {i: pyramids[i] for i in needed & pyramids.keys()}
        missing = sorted(needed - pyramids.keys())

        def build(i: int) -> None:
            frame = missing[i]  # noqa: B023
            pyramids[frame] = build_pyramid(  # noqa: B023
                frames[frame], sizes, parameters.scale_factor, parameters.presmoothing_sigma
            )

        def solve(i: int) -> None:
            solver = spare.get()
            first, second = window[i]  # noqa: B023
            solver.solve(pyramids[first], pyramids[second], out[begin + i])  # noqa: B023
            spare.put(solver)

        run_tasks(build, len(missing))
        together = len(window) - len(window) % threads  # a thread for each pair; what is left over shares them all
        run_tasks(solve, together)
        for i in range(together, len(window)):
            solve(i)
    return out


class _Solver:
    """Buffers for one pair at a time, and the steps of its solution.

    All levels use the same memory: the flow goes back and forth between two pieces, by upsampling and by filtering.
    """

    def __init__(self, sizes: list[tuple[int, int]], parameters: TVL1Parameters) -> None:
        self._sizes = sizes
        self._parameters = parameters
        flow, other, state = (
            np.zeros(num_floats(*sizes[0], planes), np.float32) for planes in (FLOW_PLANES, FLOW_PLANES, STATE_PLANES)
        )
        self._flows = [[planes_in(memory, *size, FLOW_PLANES) for size in sizes] for memory in (flow, other)]
        self._states = [planes_in(state, *size, STATE_PLANES) for size in sizes]
        self._changes = np.zeros(sizes[0][0], np.float32)

    def solve(self, pyramid0: list[Planes], pyramid1: list[Planes], out: NDArray[np.float32]) -> None:
        """Write the flow between two pyramids to ``out``, ``(H, W, 2)``."""
        coarsest = len(self._sizes) - 1
        self._flows[0][coarsest][:] = 0
        for level in range(coarsest, -1, -1):
            if level < coarsest:
                coarser, finer = self._sizes[level + 1], self._sizes[level]
                upsample_flow(self._flows[0][level + 1], self._flows[1][level], coarser, finer)
                self._flows.reverse()
            self._solve_level(level, pyramid0[level], pyramid1[level])
        flow_vectors(self._flows[0][0], out)

    def _solve_level(self, level: int, image0: Planes, image1: Planes) -> None:
        chosen, size, state = self._parameters, self._sizes[level], self._states[level]
        state[:, DUAL_PLANES] = 0
        for _ in range(chosen.num_warps):
            linearise(image0, image1, self._flows[0][level], state, size, chosen.lambda_ * chosen.theta)
            left = chosen.max_iterations
            while left:
                count = min(left, chosen.inner_iterations)
                left -= count
                flow, other = (flows[level] for flows in self._flows)
                change = iterate(flow, state, self._changes, size, chosen.theta, chosen.tau, count)
                if chosen.median_size > 1:
                    median_filter(flow, other, size, chosen.median_size)
                    self._flows.reverse()
                if change <= chosen.epsilon**2:
                    break
