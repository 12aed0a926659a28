"""Pairs of feature maps for the kernels that match them, in shapes and windows where something can go wrong."""

from __future__ import annotations

import numpy as np

SHAPES = [  # of the features, and radius of the window
    ((1, 1, 1, 1), (0, 0)),
    ((1, 1, 1, 5), (2, 2)),
    ((1, 1, 33, 7), (1, 3)),
    ((1, 37, 1, 8), (3, 1)),
    ((2, 5, 7, 3), (2, 1)),
    ((1, 9, 16, 16), (4, 4)),
    ((3, 7, 17, 9), (0, 4)),
    ((1, 6, 70, 20), (1, 7)),  # two strips
    ((1, 31, 18, 33), (15, 15)),
    ((1, 50, 20, 2), (2, 9)),  # bands
]


def random_pair(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 feature maps, normally distributed, the same for the same arguments."""
    first, second = np.random.default_rng(seed).standard_normal((2, *shape)).astype(np.float32)
    return first, second
