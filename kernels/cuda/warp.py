"""Warping on a GPU: launches ``warp.cu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .loader import load, require_cupy
from .matching import samples

_BLOCK = (64, 4)  # samples of a row, rows
_MAX_GRID_Y = 65535  # CUDA's limit; the kernel strides over the remaining rows


def warp_cuda(features: Any, flow: Any, minuend: Any, out: Any, names: tuple[str, str]) -> Any:
    """Compute ``vidprep.kernels.warp`` or ``warped_difference`` for CuPy arrays; arguments are already checked.

    Parameters
    ----------
    features, flow, minuend, out
        As in the public functions; without ``minuend`` the result is the warped features, with it ``minuend`` less
        the features warped by the negative flow.
    names
        Those of features and minuend for errors.

    Returns
    -------
    cupy.ndarray
        ``(..., H, W, C)`` float32.

    Raises
    ------
    ValueError
        If features are not finite or the flow has NaN. To know that costs a round trip to the device.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(features.device):
        height, width, channels = features.shape[-3:]
        rows = math.prod(features.shape[:-2])
        if out is None:
            out = cupy.empty(features.shape, np.float32)
        first, second, sample = samples(features, features if minuend is None else minuend)
        vectors = cupy.ascontiguousarray(flow.astype(np.float32, copy=False))
        defines = {"SAMPLE": sample} if minuend is None else {"SAMPLE": sample, "SUBTRACT": "1"}
        damage = cupy.zeros(3, np.int32)
        parts = channels // 4 if channels % 4 == 0 else channels  # if they lie unaligned, the kernel strides
        grid = (-(-width * parts // _BLOCK[0]), min(-(-rows // _BLOCK[1]), _MAX_GRID_Y))
        load("warp", defines).get_function("warp")(
            grid,
            _BLOCK,
            (first, vectors, second, out, damage, np.int64(rows), *(np.int32(n) for n in (height, width, channels))),
        )
        bad_features, bad_flow, bad_minuend = damage.get()
    if bad_flow:
        raise ValueError("flow must be free of NaN; replace unknown vectors before warping")
    for bad, name in zip((bad_features, bad_minuend), names, strict=True):
        if bad:
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    return out
