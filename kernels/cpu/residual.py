"""Residual frames on the CPU: one pass, each input byte read once and each output byte written once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def residual_cpu(frames: NDArray[Any], step: int, signed: bool, out: NDArray[Any] | None) -> NDArray[Any]:
    """See ``vidprep.kernels.residual``; arguments are already checked."""
    frames = np.ascontiguousarray(frames)
    shape = (frames.shape[0] - step, *frames.shape[1:])
    if out is None:
        out = np.empty(shape, np.int16 if signed and frames.dtype == np.uint8 else frames.dtype)
    flat, shift = frames.reshape(-1), step * int(np.prod(shape[1:], dtype=np.int64))
    if frames.dtype == np.uint8:
        kernel = _signed_bytes if signed else _absolute_bytes
    else:
        kernel = _signed_floats if signed else _absolute_floats
    kernel(flat, shift, out.reshape(-1))
    return out


@njit(nogil=True, cache=True)
def _absolute_bytes(frames, shift, out):  # type: ignore[no-untyped-def]
    earlier, later = frames[: out.size], frames[shift : shift + out.size]
    for i in range(out.size):
        a, b = earlier[i], later[i]
        out[i] = max(a, b) - min(a, b)  # stays in bytes: 32 or 64 lanes at a time


@njit(nogil=True, cache=True)
def _signed_bytes(frames, shift, out):  # type: ignore[no-untyped-def]
    earlier, later = frames[: out.size], frames[shift : shift + out.size]
    for i in range(out.size):
        out[i] = np.int16(later[i]) - np.int16(earlier[i])


@njit(nogil=True, cache=True)
def _absolute_floats(frames, shift, out):  # type: ignore[no-untyped-def]
    earlier, later = frames[: out.size], frames[shift : shift + out.size]
    for i in range(out.size):
        out[i] = abs(later[i] - earlier[i])


@njit(nogil=True, cache=True)
def _signed_floats(frames, shift, out):  # type: ignore[no-untyped-def]
    earlier, later = frames[: out.size], frames[shift : shift + out.size]
    for i in range(out.size):
        out[i] = later[i] - earlier[i]
