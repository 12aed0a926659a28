"""Residual frames: the difference of each frame and the one ``step`` before it.

Tao, Wang, Yamasaki, "Rethinking Motion Representation: Residual Frames with 3D ConvNets", section 3.1:
``ResFrame(i~j) = |Frame(i~j) - Frame(i+1~j+1)|``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import common_backend


def residual(frames: Any, step: int = 1, signed: bool = False, *, out: Any = None) -> Any:
    """Subtract from every frame the frame ``step`` earlier.

    Parameters
    ----------
    frames
        ``(T, H, W, C)`` uint8 (0..255) or float32, NumPy or CuPy, T > step.
    step
        Distance in frames, at least 1.
    signed
        ``False``: absolute differences in the type of ``frames``. ``True``: signed differences, int16 for uint8
        frames and float32 for float32.

    Returns
    -------
    array
        ``(T - step, H, W, C)`` of the same kind on the same device; item ``t`` is ``frames[t + step] - frames[t]``.

    Raises
    ------
    TypeError
        If ``frames`` is not a NumPy or CuPy array of uint8 or float32.
    ValueError
        If the shape is not ``(T, H, W, C)``, ``step`` is not a positive integer, or T <= step.
    """
    backend = common_backend(frames=frames)
    if frames.dtype not in (np.uint8, np.float32):
        raise TypeError(f"frames must be uint8 or float32, got {frames.dtype}")
    if frames.ndim != 4:
        raise ValueError(f"frames must be (T, H, W, C), got shape {tuple(frames.shape)}")
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 1:
        raise ValueError(f"step must be a positive integer, got {step!r}")
    if frames.shape[0] <= step:
        raise ValueError(f"a residual with step {step} needs at least {step + 1} frames, got {frames.shape[0]}")
    shape = (frames.shape[0] - int(step), *frames.shape[1:])
    dtype = np.int16 if signed and frames.dtype == np.uint8 else frames.dtype
    if out is not None and (
        type(out) is not type(frames) or out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous
    ):
        raise ValueError(f"out must be a C-contiguous {shape} {np.dtype(dtype)} array like frames")
    if backend == "cuda":
        from .cuda.residual import residual_cuda

        return residual_cuda(frames, int(step), signed, out)
    from .cpu.residual import residual_cpu

    return residual_cpu(frames, int(step), signed, out)
