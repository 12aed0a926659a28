"""Checks that kernels share: of numbers that a user gave, and of pairs of feature maps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MAX_RADIUS = 15

Radius = int | tuple[int, int]

_MOST_SHOWN = 80  # characters


def whole(value: Any, low: int, high: int | float = math.inf) -> int | None:
    """Return an integer of any kind, NumPy's included, as an ``int``; ``None`` if it is none or out of range.

    True and False are no integers here.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return None
    number = int(value)
    return number if low <= number <= high else None


def real(value: Any) -> float | None:
    """Return a number of any kind as a ``float``, infinite if it is larger than those; ``None`` if it is none.

    True and False are no numbers here, and NaN is one.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def shown(value: Any) -> str:
    """Return what a user gave for a message: one line, not too long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no integers of more than some thousand digits
        text = f"{type(value).__name__} too long to show"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


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
    numbers = [whole(number, 0, MAX_RADIUS) for number in pair]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        raise ValueError(f"radius must be an integer or a pair (ry, rx), each 0..{MAX_RADIUS}, got {shown(radius)}")
    return numbers[0], numbers[1]
