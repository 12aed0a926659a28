"""YUV to RGB with resizing on a GPU: launches ``yuv.cu``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..yuv_tables import SAMPLE_BITS, ResampleTable, YuvFormat, colour_table, plane_tables
from .loader import load, require_cupy, upload

_WARPS = 4  # of a block, as in yuv.cu
_TILE = 32  # output pixels of a warp
_MAX_GRID_Y = 65535  # CUDA's limit; the kernel strides over the remaining frames


def yuv_to_rgb_cuda(y: Any, u: Any, v: Any, size: tuple[int, int], fmt: YuvFormat) -> Any:
    """Compute ``vidprep.kernels.yuv_to_rgb`` for CuPy arrays, in one launch on the current stream.

    Parameters
    ----------
    y, u, v
        ``(T, H, W)`` and twice ``(T, HC, WC)``, uint8 or uint16; copied first if not C-contiguous.
    size, fmt
        As in the public function, already checked.

    Returns
    -------
    cupy.ndarray
        ``(T, height, width, 3)`` uint8.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(y.device):
        y, u, v = (cupy.ascontiguousarray(plane) for plane in (y, u, v))
        num_frames, *luma_shape = y.shape
        colour, axes = _tables(cupy.cuda.Device().id, (luma_shape[0], luma_shape[1]), size, fmt)
        rgb = cupy.empty((num_frames, *size, 3), np.uint8)
        blocks = -(-(size[0] * -(-size[1] // _TILE)) // _WARPS)
        sizes = (*luma_shape, *u.shape[1:], *size, SAMPLE_BITS - fmt.depth)
        kernel = load("yuv", {"SAMPLE": str(y.dtype)}).get_function("yuv_to_rgb")
        kernel(
            (blocks, min(num_frames, _MAX_GRID_Y)),
            (_WARPS * 32,),
            (y, u, v, rgb, np.int64(num_frames), *(np.int32(value) for value in sizes), colour, *axes),
        )
    return rgb


@lru_cache(maxsize=64)
def _tables(
    device: int, luma_shape: tuple[int, int], size: tuple[int, int], fmt: YuvFormat
) -> tuple[Any, tuple[Any, ...]]:
    """Put colour matrix and filters of a format on the current device, once.

    Returns
    -------
    colour
        ``(18,)`` int32: shifts, offsets, coefficients and biases of the ``ColourTable``.
    axes
        For luma y, luma x, chroma y, chroma x: the ``(1 + taps, out_size)`` int32 table that ``Axis`` of yuv.cu reads,
        and the number of taps.
    """
    del device  # part of the key only
    colours = colour_table(fmt)
    axes = plane_tables(luma_shape, size, fmt)
    colour = upload(np.concatenate([colours.shifts, colours.offsets, colours.coefficients.ravel(), colours.biases]))
    return colour, tuple(argument for axis in axes for argument in _axis_arguments(axis))


def _axis_arguments(axis: ResampleTable) -> tuple[Any, np.int32]:
    """Return one axis as kernel arguments; the weights are transposed, so that neighbouring lanes read neighbours."""
    table = np.concatenate([axis.starts[None], axis.weights.T])
    return upload(table), np.int32(axis.weights.shape[1])
