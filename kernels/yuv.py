"""Planar YUV to RGB with resizing, in one pass: what stands between a decoded picture and a cached frame.

Resizing is separable with the triangle (linear) filter, widened by the scale when a picture shrinks, so that it does
not alias; borders repeat the edge sample. Chroma is resampled straight from its own grid to the output grid, at its
siting, so that no full-size RGB (nor full-size chroma) exists at any moment.

The arithmetic is in integers of 16 bits, twice as many to a vector register as of 32; every device gives the same
bytes. Samples of ``depth`` bits are first shifted left to 16 bits; filter weights have 16 fractional bits.

1. Each axis, vertical first: ``sum_k (w[k] * x[start + k]) >> 16``, plus half a unit for each tap of the table, for
   what the shifts cut off; at most ``2**16 - 1``. A unit is 1/256 grey level. Filters of more than 8 taps, whose
   weights are small, add whole products instead: ``(sum_k w[k] * x[start + k] + 2**15) >> 16``.
2. Colour: ``clip((sum_j (c[i][j] * ((x[j] >> s[j]) - o[j])) >> 16) + b[i]) >> 5, 0, 255)``, see ``ColourTable``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import common_backend
from ._checks import shown, whole
from .yuv_tables import YuvFormat, chroma_shape

_LARGEST = 1 << 20  # pixels of a side


def yuv_to_rgb(y: Any, u: Any, v: Any, size: tuple[int, int], fmt: YuvFormat) -> Any:
    """Convert planar pictures to RGB frames of another size.

    Parameters
    ----------
    y, u, v
        ``(T, H, W)`` and twice ``(T, HC, WC)``, uint8 (depth 8) or uint16 (depth above 8), NumPy or CuPy; the chroma
        size is the luma size subsampled as ``fmt`` says, rounded up.
    size
        Output ``(height, width)``, each 1 to 1048576.
    fmt
        How to read the planes.

    Returns
    -------
    array
        ``(T, height, width, 3)`` uint8 on the same device; the same bytes on every device.

    Raises
    ------
    TypeError, ValueError
        If kinds, types, shapes or the size do not fit.
    """
    backend = common_backend(y=y, u=u, v=v)
    expected = np.uint8 if fmt.depth == 8 else np.uint16
    for name, plane in (("y", y), ("u", u), ("v", v)):
        if plane.dtype != expected:
            raise TypeError(f"{name} must be {np.dtype(expected)} at a depth of {fmt.depth} bits, got {plane.dtype}")
        if plane.ndim != 3 or min(plane.shape) < 1:
            raise ValueError(f"{name} must be (T, H, W) and not empty, got shape {tuple(plane.shape)}")
    wanted = (y.shape[0], *chroma_shape(y.shape[1:], fmt))
    if tuple(u.shape) != wanted or tuple(v.shape) != wanted:
        raise ValueError(f"chroma planes of {tuple(y.shape)} luma must be {wanted}, got {u.shape} and {v.shape}")
    sides = [whole(side, 1, _LARGEST) for side in size] if isinstance(size, (tuple, list)) else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        raise ValueError(f"size must be (height, width), each an integer from 1 to {_LARGEST}, got {shown(size)}")
    height, width = sides[0], sides[1]
    if backend == "cuda":
        from .cuda.yuv import yuv_to_rgb_cuda

        return yuv_to_rgb_cuda(y, u, v, (height, width), fmt)
    from .cpu.yuv import yuv_to_rgb_cpu

    return yuv_to_rgb_cpu(y, u, v, (height, width), fmt)
