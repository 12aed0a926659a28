"""Image pyramids and resampling between levels: separable filters, one table of taps for each axis.

A level is made from the one below by sampling it under a Gaussian of the standard deviation 0.6 sqrt(1 / s^2 - 1) for
the scale factor s (Sanchez et al. 2013, section 4.3); flow goes to a finer level by linear interpolation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .tvl1_planes import PAD_LEFT, PAD_ROWS, Planes, num_floats, pixels, planes_in, repeat_edges

MIN_SIDE = 16
"""No level but the first is lower or narrower than this."""

_BLUR = 0.6  # pixels of the coarser level, for a scale factor of 1/sqrt(2)
_REACH = 3.0  # standard deviations to either side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taps:
    """One axis of a resampling: output i is the sum of ``weights[i, k] * input[starts[i] + k]``."""

    starts: NDArray[np.int64]
    weights: NDArray[np.float32]

    @staticmethod
    def of(positions: NDArray[np.int64], weights: NDArray[np.float64], in_size: int) -> Taps:
        """Fold taps ``(n, k)`` at positions that may lie outside into a window inside: edge samples repeated."""
        taps = min(positions.shape[1], in_size)
        starts = np.clip(positions[:, 0], 0, in_size - taps)
        folded = np.zeros((len(positions), taps))
        columns = np.clip(positions, 0, in_size - 1) - starts[:, None]
        np.add.at(folded, (np.arange(len(positions))[:, None], columns), weights)
        return Taps(starts=starts, weights=folded.astype(np.float32))


def _centres(in_size: int, out_size: int) -> NDArray[np.float64]:
    return np.asarray((np.arange(out_size) + 0.5) * (in_size / out_size) - 0.5, np.float64)


@lru_cache(64)
def gaussian_taps(in_size: int, out_size: int, sigma: float) -> Taps:
    """Return the taps that sample under a Gaussian of ``sigma`` input samples."""
    centres = _centres(in_size, out_size)
    reach = _REACH * sigma + 1e-6  # rounding must not decide on taps just there
    first = np.ceil(centres - reach).astype(np.int64)
    positions = first[:, None] + np.arange(int(2 * reach) + 1)
    distances = np.abs(positions - centres[:, None])
    weights = np.exp(-0.5 * (distances / sigma) ** 2) * (distances <= reach)
    return Taps.of(positions, weights / weights.sum(axis=1, keepdims=True), in_size)


@lru_cache(64)
def linear_taps(in_size: int, out_size: int, gain: float) -> Taps:
    """Return the taps of linear interpolation, times ``gain``."""
    centres = _centres(in_size, out_size)
    first = np.floor(centres).astype(np.int64)
    behind = centres - first
    return Taps.of(first[:, None] + np.arange(2), gain * np.stack([1 - behind, behind], axis=1), in_size)


@njit(nogil=True, cache=True)
def _resample(source, out, width, row_starts, row_weights, starts, weights):  # type: ignore[no-untyped-def]
    line = np.empty(width, np.float32)
    for y in range(row_starts.size):
        for i in range(source.shape[1]):
            for k in range(row_weights.shape[1]):
                samples = source[PAD_ROWS + row_starts[y] + k, i, PAD_LEFT : PAD_LEFT + width]
                weight = row_weights[y, k]
                if k == 0:
                    for x in range(width):
                        line[x] = weight * samples[x]
                else:
                    for x in range(width):
                        line[x] += weight * samples[x]
            for x in range(starts.size):
                total = np.float32(0)
                for k in range(weights.shape[1]):
                    total += weights[x, k] * line[starts[x] + k]
                out[PAD_ROWS + y, i, PAD_LEFT + x] = total


def resample(source: Planes, out: Planes, width: int, rows: Taps, columns: Taps) -> None:
    """Resample planes, first along columns, then along rows; ``width`` is that of ``source``."""
    _resample(source, out, width, rows.starts, rows.weights, columns.starts, columns.weights)


def level_sizes(height: int, width: int, num_scales: int, scale_factor: float) -> list[tuple[int, int]]:
    """Return ``(H, W)`` of each level, the finest first; fewer than asked where they would become too small."""
    sizes = [(height, width)]
    for i in range(1, num_scales):
        level = round(height * scale_factor**i), round(width * scale_factor**i)
        if min(level) < MIN_SIDE:
            break
        sizes.append(level)
    return sizes


def build_pyramid(frame: NDArray[Any], sizes: list[tuple[int, int]], scale_factor: float, sigma: float) -> list[Planes]:
    """Return one plane for each level, edges repeated.

    Parameters
    ----------
    frame
        ``(H, W)``, any real type.
    sizes
        From ``level_sizes``.
    scale_factor
        Between levels.
    sigma
        Standard deviation of the Gaussian that the finest level is smoothed with, in pixels; 0: not at all.
    """
    levels: list[Planes] = []
    for i, (height, width) in enumerate(sizes):
        plane = planes_in(np.zeros(num_floats(height, width, 1), np.float32), height, width, 1)
        if i == 0:
            raw = np.zeros_like(plane) if sigma else plane
            pixels(raw, height, width)[:, 0] = frame
            source, blur, below = raw, sigma, (height, width)
        else:
            source, blur, below = levels[-1], _BLUR * math.sqrt(1 / scale_factor**2 - 1), sizes[i - 1]
        if blur:
            rows, columns = (gaussian_taps(below[axis], (height, width)[axis], blur) for axis in range(2))
            resample(source, plane, below[1], rows, columns)
        repeat_edges(plane, height, width)
        levels.append(plane)
    return levels


def upsample_flow(flow: Planes, out: Planes, size: tuple[int, int], out_size: tuple[int, int]) -> None:
    """Interpolate a flow linearly to a finer level, and lengthen its vectors accordingly."""
    rows = linear_taps(size[0], out_size[0], 1.0)
    columns = linear_taps(size[1], out_size[1], 1.0)
    resample(flow, out, size[1], rows, columns)
    inside = pixels(out, *out_size)
    inside[:, 0] *= np.float32(out_size[1] / size[1])
    inside[:, 1] *= np.float32(out_size[0] / size[0])
