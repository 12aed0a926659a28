"""The iterations of TV-L1 on the CPU, in bands of rows, as the flow does them for one warp."""

from __future__ import annotations

import numpy as np

from vidprep.kernels.cpu.tvl1_solver import MAX_WAVE, mean_change
from vidprep.kernels.cpu.tvl1_solver import iterate as iterate_part


def iterate(
    flow: np.ndarray,
    state: np.ndarray,
    size: tuple[int, int],
    theta: float,
    rate: float,
    iterations: int,
    bands: int = 1,
) -> float:
    """Do some iterations in place; return the mean squared change of u by the last one."""
    changes = np.full(size[0], np.nan, np.float32)
    numbers = *size, np.float32(theta), np.float32(rate)
    while iterations:
        wave = min(iterations, MAX_WAVE)
        iterations -= wave
        common = flow, state, changes, *numbers, wave, iterations == 0
        for band in reversed(range(bands)):
            iterate_part(*common, False, band, bands)
        for band in range(bands - 1):
            iterate_part(*common, True, band, bands)
    return mean_change(changes, *size)
