"""Image pyramids and resampling between levels on the CPU: separable filters, one table of taps for each axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..tvl1_tables import Taps, gaussian_taps, level_blur, linear_taps
from .tvl1_planes import PAD_LEFT, PAD_ROWS, Planes, num_floats, pixels, planes_in, repeat_edges


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
            source, blur, below = levels[-1], level_blur(scale_factor), sizes[i - 1]
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
