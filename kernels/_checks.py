"""Checks that the kernels on pairs of feature maps share."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_RADIUS = 15

Radius = int | tuple[int, int]


def check_feature_pair(features0: Any, features1: Any) -> None:
    """Refuse pairs that are not two ``(N, H, W, C)`` arrays of one shape, float32 or float16.

    Raises
    ------
    TypeError
        If the type of their numbers is another.
    ValueError
        If they have other axes, nothing in them, or different shapes.
    """
    for name, features in (("features0", features0), ("features1", features1)):
        if features.dtype not in (np.float32, np.float16):
            raise TypeError(f"{name} must be float32 or float16, got {features.dtype}")
        if features.ndim != 4 or 0 in features.shape:
            raise ValueError(f"{name} must be (N, H, W, C), none of them 0, got shape {tuple(features.shape)}")
    if features0.shape != features1.shape:
        raise ValueError(
            f"features0 and features1 must have one shape, got {tuple(features0.shape)} and {tuple(features1.shape)}"
        )


def window_radius(radius: Any) -> tuple[int, int]:
    """Return ``(ry, rx)`` from a radius or a pair of them.

    Raises
    ------
    ValueError
        If it is neither, or not in 0..15.
    """
    pair = radius if isinstance(radius, (tuple, list)) else (radius, radius)
    integers = all(isinstance(r, (int, np.integer)) and not isinstance(r, bool) for r in pair)
    if len(pair) != 2 or not integers or not all(0 <= r <= MAX_RADIUS for r in pair):
        raise ValueError(f"radius must be an integer or a pair (ry, rx), each 0..{MAX_RADIUS}, got {radius!r}")
    return int(pair[0]), int(pair[1])
