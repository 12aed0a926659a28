"""Features of frames for matching, where no network provides them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend
from ._checks import shown, whole

DEFAULT_PATCH = 9
MAX_PATCH = 15


def zncc_features(frames: Any, patch: int = DEFAULT_PATCH, *, out: Any = None) -> Any:
    """Describe every pixel by the grey patch around it, less the patch's mean.

    The cosine similarity of two such features is the zero-mean normalised cross-correlation of the patches: what
    ``cost_volume`` and ``displacement`` compute from them does not change with brightness and contrast.

    Parameters
    ----------
    frames
        ``(T, H, W, 3)`` RGB or ``(T, H, W, 1)`` grey, uint8.
    patch
        Side of the patch in pixels: odd, 3..15.
    out
        Where to write the result, C-contiguous float32; a new array by default, which takes longer: features are
        large, and the system hands out memory page by page.

    Returns
    -------
    array
        ``(T, H, W, patch * patch)`` float32, grey levels, patches row by row. Beyond its border the image goes on with
        its last pixels. Grey is 77/256 red + 150/256 green + 29/256 blue (ITU-R BT.601 to 8 bits), not rounded; a
        patch without contrast is exactly 0.

    Raises
    ------
    TypeError
        If ``frames`` is not a NumPy or CuPy array of uint8.
    ValueError
        If the shape is not ``(T, H, W, 1)`` or ``(T, H, W, 3)``, the patch is out of range, or ``out`` does not fit.
    """
    backend = common_backend(frames=frames)
    if frames.dtype != np.uint8:
        raise TypeError(f"frames must be uint8, got {frames.dtype}")
    if frames.ndim != 4 or frames.shape[3] not in (1, 3) or 0 in frames.shape:
        raise ValueError(f"frames must be (T, H, W, 1) or (T, H, W, 3), got shape {tuple(frames.shape)}")
    side = whole(patch, 3, MAX_PATCH)
    if side is None or side % 2 == 0:
        raise ValueError(f"patch must be an odd integer, 3..{MAX_PATCH}, got {shown(patch)}")
    if out is not None:
        expected = (*frames.shape[:3], side * side)
        if not can_take_results(out, frames) or out.shape != expected or out.dtype != np.float32:
            raise ValueError(f"out must be a C-contiguous {expected} float32 array like the frames, and writeable")
        frames = apart(frames, out)
    if backend == "cuda":
        from .cuda.zncc import zncc_features_cuda

        return zncc_features_cuda(frames, side, out)
    from .cpu.features import zncc_features_cpu

    return zncc_features_cpu(frames, side, out)
