"""Residual frames: the difference of each frame and the one ``step`` before it.

Tao, Wang, Yamasaki, "Rethinking Motion Representation: Residual Frames with 3D ConvNets", section 3.1:
``ResFrame(i~j) = |Frame(i~j) - Frame(i+1~j+1)|``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend
from ._checks import shown, whole

_BYTES, _FLOATS, _SIGNED_BYTES = np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.int16)
_SIGNED = {_BYTES: _SIGNED_BYTES, _FLOATS: _FLOATS}  # from the type of frames to that of signed differences


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
    out
        Where to write the result, C-contiguous and of its type; a new array by default.

    Returns
    -------
    array
        ``(T - step, H, W, C)`` of the same kind on the same device; item ``t`` is ``frames[t + step] - frames[t]``.

    Raises
    ------
    TypeError
        If ``frames`` is not a NumPy or CuPy array of uint8 or float32.
    ValueError
        If the shape is not ``(T, H, W, C)``, ``step`` is not a positive integer, ``signed`` is no bool, or T <= step.
    """
    backend = common_backend(frames=frames)
    sample, shape = frames.dtype, frames.shape
    if sample not in _SIGNED:
        raise TypeError(f"frames must be uint8 or float32, got {sample}")
    if len(shape) != 4:
        raise ValueError(f"frames must be (T, H, W, C), got shape {tuple(shape)}")
    lag = whole(step, 1)
    if lag is None:
        raise ValueError(f"step must be a positive integer, got {shown(step)}")
    if shape[0] <= lag:
        raise ValueError(f"a residual with step {shown(lag)} needs at least {shown(lag + 1)} frames, got {shape[0]}")
    if not isinstance(signed, (bool, np.bool_)):
        raise ValueError(f"signed must be True or False, got {shown(signed)}")
    if out is not None:
        expected, dtype = (shape[0] - lag, *shape[1:]), _SIGNED[sample] if signed else sample
        if not can_take_results(out, frames) or out.shape != expected or out.dtype != dtype:
            raise ValueError(f"out must be a C-contiguous {expected} {dtype} array like frames, and writeable")
        frames = apart(frames, out)
    return _implementation(backend)(frames, lag, bool(signed), out)


@cache
def _implementation(backend: str) -> Callable[[Any, int, bool, Any], Any]:
    if backend == "cuda":
        from .cuda.residual import residual_cuda

        return residual_cuda
    from .cpu.residual import residual_cpu

    return residual_cpu
