"""Displacement maps: where each feature of one frame went in the next, without optical flow."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ._backend import common_backend
from ._checks import Radius, check_feature_pair, real, shown, window_radius

Assignment = Literal["soft", "wta"]

DEFAULT_TEMPERATURE = 0.02  # the least end-point error, or within 5% of it, on Middlebury with zncc patches
MIN_TEMPERATURE = 1e-6  # below it, float32 similarities have no more to tell


def displacement(
    features0: Any,
    features1: Any,
    radius: Radius,
    temperature: float = DEFAULT_TEMPERATURE,
    assignment: Assignment = "soft",
) -> Any:
    """Find where every feature moves to, as the mean of a distribution over a window or as its maximum.

    Zhao, Xiong, Lin, "Recognize Actions by Disentangling Components of Dynamics", CVPR 2018. With the similarities
    ``c`` of ``cost_volume``, equations 1 and 2 say::

        v_y = sum over dy of dy * rho_y(dy),   rho_y(dy) = sum over dx of exp(c(dy, dx) / temperature) / Z
        v_x = sum over dx of dx * rho_x(dx),   rho_x(dx) = sum over dy of exp(c(dy, dx) / temperature) / Z

    where ``Z`` is the sum of the exponentials over the whole window. As there, neighbours outside the image take part
    with similarity 0. The cost volume is never in memory.

    Parameters
    ----------
    features0, features1
        ``(N, H, W, C)`` float32 or float16 of the first and the second frame of N pairs.
    radius
        Of the window, in pixels: an integer, or ``(ry, rx)``; 0..15.
    temperature
        How far below the best a similarity still counts, at least 1e-6. Towards 0 soft assignment becomes
        winner-take-all. The default suits ``zncc_features``; flatter similarities, such as those of a network's first
        layer, want a lower one, or winner-take-all.
    assignment
        ``"soft"``: the expectation above. ``"wta"``: winner-take-all, the displacement of the highest similarity;
        among equals the shortest, then the smallest dy, then the smallest dx. ``temperature`` has no effect on it.

    Returns
    -------
    array
        ``(N, H, W, 2)`` float32, pixels, ``(x, y)`` = (right, down), from the first frame to the second.

    Raises
    ------
    TypeError
        If a feature map is not a NumPy or CuPy array of float32 or float16.
    ValueError
        If shapes do not fit, a parameter is out of range, or a feature is NaN, infinite or 1e18 long.
    """
    backend = common_backend(features0=features0, features1=features1)
    check_feature_pair(features0, features1)
    window = window_radius(radius)
    if not isinstance(assignment, str) or assignment not in get_args(Assignment):
        raise ValueError(f"assignment must be 'soft' or 'wta', got {shown(assignment)}")
    number = real(temperature)
    if number is None or not MIN_TEMPERATURE <= number < math.inf:
        raise ValueError(f"temperature must be a number of at least {MIN_TEMPERATURE:g}, got {shown(temperature)}")
    softness = number if assignment == "soft" else None
    if backend == "cuda":
        from .cuda.displacement import displacement_cuda

        return displacement_cuda(features0, features1, window, softness)
    from .cpu.displacement import displacement_cpu

    first, second = (np.ascontiguousarray(features, np.float32) for features in (features0, features1))
    return displacement_cpu(first, second, window, softness, _order(window))


@cache
def _order(radius: tuple[int, int]) -> NDArray[np.int32]:
    """Return the places of a window, counted row by row, in the order in which winner-take-all prefers them."""
    ry, rx = radius
    dy, dx = (axis.ravel() for axis in np.mgrid[-ry : ry + 1, -rx : rx + 1])
    order = np.lexsort((dx, dy, dx * dx + dy * dy)).astype(np.int32)
    order.flags.writeable = False
    return order
