"""Warping: features moved along a flow, and what is left of a frame once motion is taken out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend


def warp(features: Any, flow: Any, *, out: Any = None) -> Any:
    """Sample features where the flow points to: ``out[p]`` is ``features`` at ``p + flow[p]``, bilinear.

    Zhao, Xiong, Lin, "Recognize Actions by Disentangling Components of Dynamics", CVPR 2018, section 3.4, ``W(F, V)``:
    features "whose source points are outside the image domain are set to zeros".

    Parameters
    ----------
    features
        ``(..., H, W, C)`` float32 or float16.
    flow
        ``(..., H, W, 2)`` float32 or float16, pixels, ``(x, y)`` = (right, down).
    out
        Where to write the result, C-contiguous float32; a new array by default; one of the others, too.

    Returns
    -------
    array
        ``(..., H, W, C)`` float32. The image reaches from the centre of its first pixel to the centre of its last:
        ``0 <= x <= W - 1`` and ``0 <= y <= H - 1``. A sample inside is interpolated between pixels of the image; one
        outside, be it by a thousandth of a pixel, is 0. So no value is ever mixed with zeros, and a flow of zero
        returns exactly the features.

    Raises
    ------
    TypeError
        If an array is not a NumPy or CuPy array of float32 or float16.
    ValueError
        If shapes do not fit, a feature is NaN or infinite, or the flow has NaN.
    """
    backend = common_backend(features=features, flow=flow)
    _check_features("features", features)
    _check_flow(flow, features.shape)
    _check_out(out, features)
    return _warp(backend, features, flow, None, out, ("features", "minuend"))


def warped_difference(features0: Any, features1: Any, flow: Any, *, out: Any = None) -> Any:
    """Subtract the first frame, moved to where the second should be, from the second.

    Zhao, Xiong, Lin, "Recognize Actions by Disentangling Components of Dynamics", CVPR 2018, section 3.4: ``F_t+1 -
    W(F_t, V_t)``, what changes beside the apparent motion. The flow leads from the first frame to the second, so the
    first is sampled against it: the result is ``features1 - warp(features0, -flow)``, in one pass.

    Parameters
    ----------
    features0, features1
        ``(..., H, W, C)`` float32 or float16 of the first and the second frame.
    flow
        ``(..., H, W, 2)`` float32 or float16, pixels, ``(x, y)`` = (right, down), from the first frame to the second.
    out
        Where to write the result, C-contiguous float32; a new array by default; one of the others, too.

    Returns
    -------
    array
        ``(..., H, W, C)`` float32; ``features1`` itself where the sample lies outside the image (see ``warp``).

    Raises
    ------
    TypeError
        If an array is not a NumPy or CuPy array of float32 or float16.
    ValueError
        If shapes do not fit, a feature is NaN or infinite, or the flow has NaN.
    """
    backend = common_backend(features0=features0, features1=features1, flow=flow)
    _check_features("features0", features0)
    _check_features("features1", features1)
    if features0.shape != features1.shape:
        raise ValueError(
            f"features0 and features1 must have one shape, got {tuple(features0.shape)} and {tuple(features1.shape)}"
        )
    _check_flow(flow, features0.shape)
    _check_out(out, features0)
    return _warp(backend, features0, flow, features1, out, ("features0", "features1"))


def _check_features(name: str, features: Any) -> None:
    if features.dtype not in (np.float32, np.float16):
        raise TypeError(f"{name} must be float32 or float16, got {features.dtype}")
    if features.ndim < 3 or 0 in features.shape:
        raise ValueError(f"{name} must be (..., H, W, C), none of them 0, got shape {tuple(features.shape)}")


def _check_flow(flow: Any, shape: tuple[int, ...]) -> None:
    if flow.dtype not in (np.float32, np.float16):
        raise TypeError(f"flow must be float32 or float16, got {flow.dtype}")
    if flow.shape != (*shape[:-1], 2):
        expected = (*shape[:-1], 2)
        raise ValueError(f"flow must be {expected} for features of shape {tuple(shape)}, got {tuple(flow.shape)}")


def _check_out(out: Any, features: Any) -> None:
    if out is None:
        return
    if not can_take_results(out, features) or out.shape != features.shape or out.dtype != np.float32:
        raise ValueError(
            f"out must be a C-contiguous {tuple(features.shape)} float32 array like the features, and writeable"
        )


def _warp(backend: str, features: Any, flow: Any, minuend: Any, out: Any, names: tuple[str, str]) -> Any:
    features, flow = apart(features, out), apart(flow, out)
    minuend = None if minuend is None else minuend if minuend is out else apart(minuend, out)
    if backend == "cuda":
        from .cuda.warp import warp_cuda

        return warp_cuda(features, flow, minuend, out, names)
    from .cpu.warp import warp_cpu

    arrays = [None if array is None else np.ascontiguousarray(array, np.float32) for array in (features, flow, minuend)]
    first, vectors, second = arrays
    assert first is not None
    assert vectors is not None
    return warp_cpu(first, vectors, second, out, names)
