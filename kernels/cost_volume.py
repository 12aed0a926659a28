"""Cost volume: how similar each feature of one frame is to its neighbourhood in the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend
from ._checks import Radius, check_feature_pair, window_radius


def cost_volume(features0: Any, features1: Any, radius: Radius, *, out: Any = None) -> Any:
    """Compare every feature with those in a window around its place in the next frame, by cosine similarity.

    Zhao, Xiong, Lin, "Recognize Actions by Disentangling Components of Dynamics", CVPR 2018, section 3.3: element
    ``(i, j, di, dj)`` is the cosine similarity between ``f_t(i, j)`` and ``f_t+1(i + di, j + dj)``.

    Parameters
    ----------
    features0, features1
        ``(N, H, W, C)`` float32 or float16 of the first and the second frame of N pairs.
    radius
        Of the window, in pixels: an integer, or ``(ry, rx)``; 0..15.
    out
        Where to write the result, C-contiguous float32; a new array by default.

    Returns
    -------
    array
        ``(N, H, W, 2ry+1, 2rx+1)`` float32 in -1..1 (to rounding); item ``[..., ry + dy, rx + dx]`` belongs to the
        displacement of ``dx`` to the right and ``dy`` down. Neighbours outside the image count as zero features, and
        the similarity of a zero feature (shorter than 1e-18) is 0.

    Raises
    ------
    TypeError
        If a feature map is not a NumPy or CuPy array of float32 or float16.
    ValueError
        If shapes do not fit, the radius is out of range, or a feature is NaN, infinite or 1e18 long.
    """
    backend = common_backend(features0=features0, features1=features1)
    check_feature_pair(features0, features1)
    window = window_radius(radius)
    if out is not None:
        expected = (*features0.shape[:3], 2 * window[0] + 1, 2 * window[1] + 1)
        if not can_take_results(out, features0) or out.shape != expected or out.dtype != np.float32:
            raise ValueError(f"out must be a C-contiguous {expected} float32 array like the features, and writeable")
        features0, features1 = apart(features0, out), apart(features1, out)
    if backend == "cuda":
        from .cuda.cost_volume import cost_volume_cuda

        return cost_volume_cuda(features0, features1, window, out)
    from .cpu.cost_volume import cost_volume_cpu

    first, second = (np.ascontiguousarray(features, np.float32) for features in (features0, features1))
    return cost_volume_cpu(first, second, window, out)
