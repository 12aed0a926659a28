"""Cost volume on a GPU: launches ``cost_volume.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loader import require_cupy
from .matching import launch


def cost_volume_cuda(features0: Any, features1: Any, radius: tuple[int, int], out: Any) -> Any:
    """Compute ``vidprep.kernels.cost_volume`` for CuPy arrays; arguments are already checked.

    Returns
    -------
    cupy.ndarray
        ``(N, H, W, 2ry+1, 2rx+1)`` float32.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(features0.device):
        if out is None:
            out = cupy.empty((*features0.shape[:3], 2 * radius[0] + 1, 2 * radius[1] + 1), np.float32)
        launch("cost_volume", features0, features1, radius, out)
    return out
