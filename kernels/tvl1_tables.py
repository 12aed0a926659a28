"""Sizes of the levels of TV-L1's pyramids, and the filter taps that lead from one to the next: tables for any device.

A level is made from the one below by sampling it under a Gaussian of the standard deviation 0.6 sqrt(1 / s^2 - 1) for
the scale factor s (Sanchez et al. 2013, section 4.3); flow goes to a finer level by linear interpolation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 16
"""No level but the first is lower or narrower than this."""

_BLUR = 0.6  # pixels of the coarser level, for a scale factor of 1/sqrt(2)
_REACH = 3.0  # standard deviations to either side


def level_sizes(height: int, width: int, num_scales: int, scale_factor: float) -> list[tuple[int, int]]:
    """Return ``(H, W)`` of each level, the finest first; fewer than asked where they would become too small."""
    sizes = [(height, width)]
    for i in range(1, num_scales):
        level = round(height * scale_factor**i), round(width * scale_factor**i)
        if min(level) < MIN_SIDE:
            break
        sizes.append(level)
    return sizes


def level_blur(scale_factor: float) -> float:
    """Return the standard deviation, in pixels of the finer level, of the Gaussian that a level is sampled under."""
    return _BLUR * math.sqrt(1 / scale_factor**2 - 1)


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
