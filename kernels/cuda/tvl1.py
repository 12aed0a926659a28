"""TV-L1 flow on a GPU: all pairs of a batch go through every step together, in one launch a step.

Whether a pair has converged is decided on the GPU, and the launches that follow leave it alone: nothing is waited for
until the caller asks for the flow. Every operation is rounded as on the CPU, and the flow is the same to the bit. Only
the changes that tell whether a pair has converged are added up in another order, so that one could go on a round
longer or shorter if they come within rounding of the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ..tvl1_parameters import TVL1Parameters
from ..tvl1_tables import Taps, gaussian_taps, level_blur, level_sizes, linear_taps
from .loader import load, require_cupy, upload

_BLOCK = (32, 8)  # pixels of a block that works on each pixel by itself
_TILE = 64  # height and width of a block of iterations, as in tvl1_iterate.cu
_TILE_THREADS = 512
_MIN_DEPTH, _MAX_DEPTH = 4, 16  # iterations in one launch, where tiles lose as many pixels at every inner edge
_MOVING = 3  # loading and storing a tile takes about as long as so many iterations
_MAX_GRID_Z = 65535
_MAX_PIXELS = 1 << 24  # of all pairs that are solved at once; each needs 72 bytes

_FLOW, _VECTOR = 2, 4  # floats a pixel: u; dual vectors, or the data term


def tvl1_flow_cuda(stacks: Sequence[Any], lag: int, parameters: TVL1Parameters, out: Any = None) -> Any:
    """Solve all pairs of frames ``lag`` apart, on the current stream.

    Needs 72 bytes a pixel for the pairs that are solved at once, 1.2 GB at most for frames up to 4096x4096, and about
    4 / (1 - scale_factor^2) bytes for each pixel of all frames.

    Parameters
    ----------
    stacks
        CuPy arrays ``(N, H, W)``, uint8 or float32, of one size and type; frames are numbered through all of them.
    lag
        From the first to the second frame of a pair, less than there are frames.
    parameters
        Of the method.
    out
        Where the result goes, if not into a new array.

    Returns
    -------
    cupy.ndarray
        ``(frames - lag, H, W, 2)`` float32.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(stacks[0].device):
        height, width = stacks[0].shape[1:]
        sizes = level_sizes(height, width, parameters.num_scales, parameters.scale_factor)
        pyramid = build_pyramids(stacks, sizes, parameters.scale_factor, parameters.presmoothing_sigma)
        num_pairs = len(pyramid[0]) - lag
        at_once = max(1, min(num_pairs, _MAX_GRID_Z, _MAX_PIXELS // (height * width)))
        at_once = -(-num_pairs // -(-num_pairs // at_once))  # batches of one size
        solver = Solver(at_once, sizes, parameters)
        flow = cupy.empty((num_pairs, height, width, 2), np.float32) if out is None else out
        for first in range(0, num_pairs, at_once):
            solver.solve(pyramid, first, lag, flow[first : first + at_once])
    return flow


def build_pyramids(stacks: Sequence[Any], sizes: Sequence[tuple[int, int]], scale_factor: float, sigma: float) -> Any:
    """Return the levels of all frames, the finest first: ``(frames, H, W)`` float32 each.

    Parameters
    ----------
    stacks
        As for ``tvl1_flow_cuda``.
    sizes
        From ``level_sizes``.
    scale_factor, sigma
        Between levels, and standard deviation of the Gaussian that the finest level is smoothed with; 0: not at all.
    """
    cupy = require_cupy()
    count = sum(map(len, stacks))
    levels = [cupy.empty((count, *size), np.float32) for size in sizes]
    begin = 0
    for stack in stacks:
        end = begin + len(stack)
        _resample(cupy.ascontiguousarray(stack), levels[0][begin:end], sigma)
        begin = end
    for finer, level in pairwise(levels):
        _resample(finer, level, level_blur(scale_factor))
    return levels


def _resample(images: Any, out: Any, sigma: float) -> None:
    sizes = (*images.shape[1:], *out.shape[1:])
    kernel = load("tvl1_resample", {"SAMPLE": "uint8" if images.dtype == np.uint8 else "float"})
    kernel.get_function("resample_images")(
        (*_blocks(sizes[2:]), min(len(images), _MAX_GRID_Z)),
        (_BLOCK[0] * _BLOCK[1],),
        (images, out, np.int64(len(images)), *map(np.int32, sizes), *_taps(_device(), sizes, sigma)),
    )


class Solver:
    """A batch of pairs on its way through levels, warps and rounds of iterations: buffers, and where the flow is.

    Flow and dual vectors go back and forth between two buffers each. A pair that has converged stays where it is, so
    that it may be left behind in the other ones: the kernels look that up, see ``tvl1.cuh``.

    Parameters
    ----------
    max_pairs
        Of a batch.
    sizes
        From ``level_sizes``.
    parameters
        Of the method.
    """

    def __init__(self, max_pairs: int, sizes: Sequence[tuple[int, int]], parameters: TVL1Parameters) -> None:
        cupy = require_cupy()
        self._sizes = sizes
        self._parameters = parameters
        pixels = max_pairs * sizes[0][0] * sizes[0][1]
        self._flows = [cupy.empty(pixels * _FLOW, np.float32) for _ in range(3)]  # the third one for upsampling
        self._duals = [cupy.empty(pixels * _VECTOR, np.float32) for _ in range(2)]
        self._data = cupy.empty(pixels * _VECTOR, np.float32)
        tiles = _tiles(sizes[0], _MAX_DEPTH)
        self._status = cupy.zeros(max_pairs, np.int32)
        self._partial = cupy.empty(max_pairs * tiles[0] * tiles[1], np.float64)
        self._arrived = cupy.zeros(max_pairs, np.uint32)
        self._round = 1  # numbered through all batches
        self._since = 1  # the round from which on pairs may have been left behind
        self._flow_at, self._dual_at = 0, 0  # which of the first two flows and of the duals the others are in
        self._kernels = {
            kernel: load(source, defines).get_function(kernel)
            for kernel, source, defines in (
                ("iterate", "tvl1_iterate", {}),
                ("linearise", "tvl1_linearise", {}),
                ("median_filter", "tvl1_median", {"SIZE": str(max(3, parameters.median_size))}),
                ("upsample_flow", "tvl1_resample", {"SAMPLE": "float"}),
                ("collect_flow", "tvl1_resample", {"SAMPLE": "float"}),
            )
        }

    def solve(self, pyramid: Sequence[Any], first: int, lag: int, out: Any) -> None:
        """Write the flow of the pairs that begin at the frames ``first`` and after to ``out``, ``(pairs, H, W, 2)``."""
        count, coarsest = len(out), len(self._sizes) - 1
        self._begin_level()
        self._flows[0][: count * _FLOW * _area(self._sizes[coarsest])].fill(0)
        for level in range(coarsest, -1, -1):
            size = self._sizes[level]
            if level < coarsest:
                self._upsample(count, self._sizes[level + 1], size)
            self._duals[0][: count * _VECTOR * _area(size)].fill(0)
            for _ in range(self._parameters.num_warps):
                self._linearise(pyramid[level], first, lag, count, size)
                self._iterate_until_converged(count, size)
        grid = -(-_area(self._sizes[0]) // (_BLOCK[0] * _BLOCK[1])), 1, count
        self._launch("collect_flow", grid, *self._flows[:2], out, *self._sizes[0], self._since, self._place())

    def _begin_level(self) -> None:
        self._flow_at, self._dual_at, self._since = 0, 0, self._round

    def _upsample(self, count: int, size: tuple[int, int], finer: tuple[int, int]) -> None:
        gains = np.float32(finer[1] / size[1]), np.float32(finer[0] / size[0])
        taps = _taps(_device(), (*size, *finer), None)
        self._launch(
            "upsample_flow", (*_blocks(finer), count), *self._flows, *size, *finer, *taps, *gains, self._since,
            self._place(),
        )  # fmt: skip
        self._flows = [self._flows[2], *self._flows[:2]]
        self._begin_level()

    def _linearise(self, images: Any, first: int, lag: int, count: int, size: tuple[int, int]) -> None:
        threshold = np.float32(self._parameters.lambda_ * self._parameters.theta)
        self._launch(
            "linearise", (*_blocks(size), count), images, first, lag, *self._flows[:2], *self._duals, self._data,
            *size, threshold, self._since, self._place(),
        )  # fmt: skip
        self._since = self._round

    def _iterate_until_converged(self, count: int, size: tuple[int, int]) -> None:
        chosen = self._parameters
        left = chosen.max_iterations
        while left:
            iterations = min(left, chosen.inner_iterations)
            left -= iterations
            # After the last round it makes no difference.
            self._iterate(count, size, iterations, chosen.epsilon**2 * _area(size) if left else -1.0)
            if chosen.median_size > 1:
                flows = self._flows[self._flow_at], self._flows[1 - self._flow_at]
                self._launch("median_filter", (*_blocks(size), count), *flows, *size, self._since, self._round)
                self._flow_at = 1 - self._flow_at
            self._round += 1

    def _iterate(self, count: int, size: tuple[int, int], iterations: int, limit: float) -> None:
        depths = launch_depths(size, iterations)
        flow_after = (self._flow_at + len(depths) + (self._parameters.median_size > 1)) % 2
        place_after = 2 * flow_after + (self._dual_at + len(depths)) % 2
        numbers = np.float32(self._parameters.theta), np.float32(self._parameters.tau / self._parameters.theta)
        for i, depth in enumerate(depths):
            down, across = _tiles(size, depth)
            last = i + 1 == len(depths)
            self._launch(
                "iterate", (across, down, count), self._flows[self._flow_at], self._flows[1 - self._flow_at],
                self._duals[self._dual_at], self._duals[1 - self._dual_at], self._data, *size, depth, *numbers,
                np.float64(limit if last else -1.0), self._since, self._round, place_after, threads=_TILE_THREADS,
                more=(self._partial, self._arrived),
            )  # fmt: skip
            self._flow_at, self._dual_at = 1 - self._flow_at, 1 - self._dual_at

    def _launch(
        self,
        kernel: str,
        grid: tuple[int, int, int],
        *args: Any,
        threads: int = _BLOCK[0] * _BLOCK[1],
        more: tuple[Any, ...] = (),
    ) -> None:
        """Launch a kernel with the status after its arguments; Python's integers are 32 bits wide."""
        typed = [np.int32(arg) if isinstance(arg, int) else arg for arg in args]
        self._kernels[kernel](grid, (threads,), (*typed, self._status, *more))

    def _place(self) -> int:
        return 2 * self._flow_at + self._dual_at


@lru_cache(maxsize=256)
def launch_depths(size: tuple[int, int], iterations: int) -> tuple[int, ...]:
    """Split iterations into launches: deep ones lose more of every tile, shallow ones move more data."""

    def split(launches: int) -> tuple[int, ...]:
        return tuple(iterations * (i + 1) // launches - iterations * i // launches for i in range(launches))

    def cost(depths: tuple[int, ...]) -> int:
        return sum((depth + _MOVING) * math.prod(_tiles(size, depth)) for depth in depths)

    if max(size) <= _TILE:
        return (iterations,)
    fewest = -(-iterations // _MAX_DEPTH)
    return min((split(launches) for launches in range(fewest, -(-iterations // _MIN_DEPTH) + 1)), key=cost)


def _tiles(size: tuple[int, int], depth: int) -> tuple[int, int]:
    """Return the tiles down and across that leave no gap where each loses ``depth`` pixels at its inner edges."""
    height, width = (1 if side <= _TILE else -(-(side - 2 * depth) // (_TILE - 2 * depth)) for side in size)
    return height, width


def _blocks(size: Sequence[int]) -> tuple[int, int]:
    """Return the blocks across and down."""
    return -(-size[1] // _BLOCK[0]), -(-size[0] // _BLOCK[1])


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _device() -> int:
    return int(require_cupy().cuda.Device().id)


@lru_cache(maxsize=256)
def _taps(device: int, sizes: tuple[int, int, int, int], sigma: float | None) -> tuple[Any, ...]:
    """Put the filters between two sizes on the current device, once, as the kernels take them.

    Parameters
    ----------
    device
        Part of the key only.
    sizes
        Heights and widths: of the input, then of the output.
    sigma
        Standard deviation of the Gaussian; 0: the pixel itself. ``None``: linear interpolation.
    """
    del device
    axes = []
    for in_size, out_size in ((sizes[0], sizes[2]), (sizes[1], sizes[3])):
        if sigma is None:
            taps = linear_taps(in_size, out_size, 1.0)
        elif sigma:
            taps = gaussian_taps(in_size, out_size, sigma)
        else:
            taps = Taps(starts=np.arange(out_size), weights=np.ones((out_size, 1), np.float32))
        axes.append((upload(taps.starts.astype(np.int32)), upload(taps.weights.T), np.int32(taps.weights.shape[1])))
    return *axes[0], *axes[1]
