"""Patch features on a GPU: launches ``zncc.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loader import load, require_cupy

_THREADS = 256
_TILE = 64  # pixels of a row that a block takes; TILE in the source
_MAX_GRID_Y = 65535  # CUDA's limit; the kernel strides over the remaining rows


def zncc_features_cuda(frames: Any, patch: int, out: Any) -> Any:
    """Compute ``vidprep.kernels.zncc_features`` for a CuPy array, on the current stream: the bits of the CPU's.

    Parameters
    ----------
    frames
        ``(T, H, W, C)`` uint8; copied first if not C-contiguous.
    patch, out
        As in the public function, already checked.

    Returns
    -------
    cupy.ndarray
        ``(T, H, W, patch * patch)`` float32.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(frames.device):
        frames = cupy.ascontiguousarray(frames)
        count, height, width, channels = frames.shape
        result = cupy.empty((count, height, width, patch * patch), np.float32) if out is None else out
        rows = count * height
        load("zncc", {}).get_function("zncc")(
            (-(-width // _TILE), min(rows, _MAX_GRID_Y)),
            (_THREADS,),
            (
                *(frames, result, np.int64(rows)),
                *(np.int32(size) for size in (height, width, channels, patch)),
                np.float32(1 / (256 * patch * patch)),
            ),
        )
    return result
