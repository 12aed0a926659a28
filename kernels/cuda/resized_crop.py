"""Resized crops on a GPU: launches ``resized_crop.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..resized_crop_tables import CropTables
from .loader import load, require_cupy

_THREADS = 256
_FRAMES = 4  # of a thread
_MAX_GRID = 65535  # CUDA's limit beside the first axis; the kernel strides over the rest
_TYPES = {"uint8": "uint8", "int8": "int8", "float16": "uint16", "float32": "float"}


def resized_crop_cuda(
    frames: Any, tables: CropTables, size: tuple[int, int], dtype: np.dtype[Any], out: Any = None
) -> Any:
    """Compute ``vidprep.kernels.resized_crop`` for a CuPy array, on the current stream.

    Parameters
    ----------
    frames
        ``(N, T, H, W, C)`` uint8, int8, float16 or float32; copied first if not C-contiguous.
    tables
        Where to sample, and the scale and offset of every clip's channels.
    size, dtype, out
        As in the public function, already checked.

    Returns
    -------
    cupy.ndarray
        ``(N, C, T, h, w)``.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(frames.device):
        frames = cupy.ascontiguousarray(frames)
        clips, length, height, width, channels = frames.shape
        result = cupy.empty((clips, channels, length, *size), dtype) if out is None else out
        grid = (
            -(-size[0] * size[1] // _THREADS),
            min(-(-length // _FRAMES), _MAX_GRID),
            min(clips, _MAX_GRID),
        )
        numbers = (clips, length, height, width, channels, *size)
        defines = {"SAMPLE": _TYPES[frames.dtype.name], "RESULT": _TYPES[dtype.name]}
        load("resized_crop", defines).get_function("resized_crop")(
            grid,
            (_THREADS,),
            (
                _bits(frames),
                cupy.asarray(tables.taps),
                cupy.asarray(tables.affine),
                _bits(result),
                *(np.int32(number) for number in numbers),
            ),
        )
    return result


def _bits(array: Any) -> Any:
    """Return halves as the integers that the kernel takes them for."""
    return array.view(np.uint16) if array.dtype == np.float16 else array
