"""Residual frames on the CPU: one pass, each input byte read once and each output byte written once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._residual_simd import subtract, subtract_absolutely

_CACHE = 32 << 20  # bytes; of more, results are gone from any cache before somebody reads them


def residual_cpu(frames: NDArray[Any], step: int, signed: bool, out: NDArray[Any] | None) -> NDArray[Any]:
    """See ``vidprep.kernels.residual``; arguments are already checked."""
    if not frames.flags.c_contiguous:
        frames = np.ascontiguousarray(frames)
    of_bytes = frames.itemsize == 1
    if out is None:
        out = np.empty((len(frames) - step, *frames.shape[1:]), np.int16 if signed and of_bytes else frames.dtype)
    if of_bytes:
        kernel = _signed_bytes if signed else _absolute_bytes
    else:
        kernel = _signed_floats if signed else _absolute_floats
    kernel(frames, out, frames.nbytes + out.nbytes > _CACHE)
    return out


@njit(nogil=True, cache=True)
def _pairs(frames, out):  # type: ignore[no-untyped-def]
    """Everything in one dimension: earlier samples, later ones, results."""
    samples, results = frames.reshape(-1), out.reshape(-1)
    return samples[: results.size], samples[samples.size - results.size :], results


@njit(nogil=True, cache=True)
def _absolute_bytes(frames, out, around):  # type: ignore[no-untyped-def]
    earlier, later, results = _pairs(frames, out)
    for i in range(subtract_absolutely(earlier, later, results, around), results.size):
        a, b = earlier[i], later[i]
        results[i] = max(a, b) - min(a, b)


@njit(nogil=True, cache=True)
def _signed_bytes(frames, out, around):  # type: ignore[no-untyped-def]
    earlier, later, results = _pairs(frames, out)
    for i in range(subtract(earlier, later, results, around), results.size):
        results[i] = np.int16(later[i]) - np.int16(earlier[i])


@njit(nogil=True, cache=True)
def _absolute_floats(frames, out, around):  # type: ignore[no-untyped-def]
    earlier, later, results = _pairs(frames, out)
    for i in range(subtract_absolutely(earlier, later, results, around), results.size):
        results[i] = abs(later[i] - earlier[i])


@njit(nogil=True, cache=True)
def _signed_floats(frames, out, around):  # type: ignore[no-untyped-def]
    earlier, later, results = _pairs(frames, out)
    for i in range(subtract(earlier, later, results, around), results.size):
        results[i] = later[i] - earlier[i]
