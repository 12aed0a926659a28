"""TV-L1 flow on the CPU: coarse to fine, over warps, over rounds of iterations and medians."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tvl1 import TVL1Parameters
from ._threads import num_threads, run_tasks
from .tvl1_median import median_filter
from .tvl1_planes import Planes, num_floats, planes_in
from .tvl1_pyramid import build_pyramid, level_sizes, upsample_flow
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
    """Buffers for one pair at a time, and the steps of its solution."""

    def __init__(self, sizes: list[tuple[int, int]], parameters: TVL1Parameters) -> None:
        self._sizes = sizes
        self._parameters = parameters
        height, width = sizes[0]
        self._flow, self._spare = (np.zeros(num_floats(height, width, FLOW_PLANES), np.float32) for _ in range(2))
        self._state = np.zeros(num_floats(height, width, STATE_PLANES), np.float32)
        self._changes = np.zeros(height, np.float32)

    def solve(self, pyramid0: list[Planes], pyramid1: list[Planes], out: NDArray[np.float32]) -> None:
        """Write the flow between two pyramids to ``out``, ``(H, W, 2)``."""
        coarsest = len(self._sizes) - 1
        self._flow_at(self._sizes[coarsest])[:] = 0
        for level in range(coarsest, -1, -1):
            size = self._sizes[level]
            if level < coarsest:
                coarser = self._sizes[level + 1]
                upsample_flow(self._flow_at(coarser), self._spare_at(size), coarser, size)
                self._swap()
            self._solve_level(pyramid0[level], pyramid1[level], size)
        flow_vectors(self._flow_at(self._sizes[0]), out)

    def _solve_level(self, image0: Planes, image1: Planes, size: tuple[int, int]) -> None:
        parameters = self._parameters
        state = planes_in(self._state, *size, STATE_PLANES)
        state[:, : DUAL_PLANES.stop] = 0
        for _ in range(parameters.num_warps):
            linearise(image0, image1, self._flow_at(size), state, size, parameters.lambda_ * parameters.theta)
            left = parameters.max_iterations
            while left:
                count = min(left, parameters.inner_iterations)
                left -= count
                change = iterate(
                    self._flow_at(size), state, self._changes, size, parameters.theta, parameters.tau, count
                )
                if parameters.median_size > 1:
                    median_filter(self._flow_at(size), self._spare_at(size), size, parameters.median_size)
                    self._swap()
                if change <= parameters.epsilon**2:
                    break

    def _flow_at(self, size: tuple[int, int]) -> Planes:
        return planes_in(self._flow, *size, FLOW_PLANES)

    def _spare_at(self, size: tuple[int, int]) -> Planes:
        return planes_in(self._spare, *size, FLOW_PLANES)

    def _swap(self) -> None:
        self._flow, self._spare = self._spare, self._flow
