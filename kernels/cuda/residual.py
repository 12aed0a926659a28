"""Residual frames on a GPU: launches ``residual.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .loader import load, require_cupy

_THREADS = 256
_BYTES_PER_THREAD = 16
_MAX_BLOCKS = 16384  # several waves of the largest GPU; the kernel strides over the rest


def residual_cuda(frames: Any, step: int, signed: bool, out: Any = None) -> Any:
    """Compute ``vidprep.kernels.residual`` for a CuPy array, on the current stream.

    Parameters
    ----------
    frames
        ``(T, H, W, C)`` uint8 or float32, T > step; copied first if not C-contiguous.
    step, signed, out
        As in the public function, already checked.

    Returns
    -------
    cupy.ndarray
        ``(T - step, H, W, C)`` uint8, int16 (signed uint8) or float32.
    """
    cupy = require_cupy()
    with cupy.cuda.Device(frames.device):
        frames = cupy.ascontiguousarray(frames)
        defines, result_type = _specialisation(frames.dtype, signed)
        shape = (frames.shape[0] - step, *frames.shape[1:])
        result = cupy.empty(shape, result_type) if out is None else out
        if result.size:
            lag = step * (frames.size // frames.shape[0])
            blocks = min(-(-frames.nbytes // (_THREADS * _BYTES_PER_THREAD)), _MAX_BLOCKS)
            kernel = load("residual", defines).get_function("residual")
            kernel((blocks,), (_THREADS,), (frames, result, np.int64(result.size), np.int64(lag)))
    return result


def _specialisation(sample: np.dtype[Any], signed: bool) -> tuple[dict[str, str], type[np.generic]]:
    """Return the defines and the result type for samples of a type."""
    if sample == np.float32:
        defines: dict[str, str] = {"SAMPLE": "float", "RESULT": "float"}
        return ({**defines, "SIGNED": "1"} if signed else defines), np.float32
    if signed:
        return {"SAMPLE": "uint8", "RESULT": "int16", "SIGNED": "1"}, np.int16
    return {"SAMPLE": "uint8", "RESULT": "uint8", "PACKED_BYTES": "1"}, np.uint8
