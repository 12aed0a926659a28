"""Displacement on a GPU: launches ``displacement.cu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .loader import require_cupy
from .matching import launch


def displacement_cuda(features0: Any, features1: Any, radius: tuple[int, int], temperature: float | None) -> Any:
    """Compute ``vidprep.kernels.displacement`` for CuPy arrays; arguments are already checked.

    ``temperature`` is ``None`` for winner-take-all.

    Returns
    -------
    cupy.ndarray
        ``(N, H, W, 2)`` float32.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(features0.device):
        result = cupy.empty((*features0.shape[:3], 2), np.float32)
        scale = -1.0 if temperature is None else math.log2(math.e) / temperature
        launch("displacement", features0, features1, radius, result, np.float32(scale))
    return result
