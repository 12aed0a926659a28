"""From plain arrays to the planes on which TV-L1 works on the CPU, and back."""

from __future__ import annotations

import numpy as np

from vidprep.kernels.cpu.tvl1_planes import num_floats, pixels, planes_in, repeat_edges


def planes_of(values: np.ndarray) -> np.ndarray:
    """Lay ``(P, H, W)`` out as the kernels do."""
    count, height, width = values.shape
    planes = planes_in(np.zeros(num_floats(height, width, count), np.float32), height, width, count)
    pixels(planes, height, width)[:] = values.transpose(1, 0, 2)
    repeat_edges(planes, height, width, 0, height)
    return planes


def values_of(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Undo ``planes_of``, given ``(H, W)``."""
    return pixels(planes, *size).transpose(1, 0, 2).copy()


def planes_of_vectors(vectors: np.ndarray) -> np.ndarray:
    """Lay ``(H, W, P)`` out, as the GPU has it."""
    return planes_of(vectors.transpose(2, 0, 1))


def vectors_of(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Undo ``planes_of_vectors``, given ``(H, W)``."""
    return np.ascontiguousarray(values_of(planes, size).transpose(1, 2, 0))
