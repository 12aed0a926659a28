"""TV-L1 optical flow: total variation of the flow, L1 norm of the difference in brightness.

Zach, Pock, Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007, in the form of Sanchez,
Meinhardt-Llopis, Facciolo, "TV-L1 Optical Flow Estimation", IPOL 2013: the energy ``sum |grad u1| + |grad u2| + lambda
|I1(x + u) - I0(x)|`` is split by an auxiliary flow v with the coupling ``|u - v|^2 / (2 theta)``, linearised by warping
(``num_warps`` times a scale, over a pyramid of scales), and solved by turns: a threshold step for v, a dual step for
u. Between rounds of iterations the flow may be median filtered (Wedel et al., "An Improved Algorithm for TV-L1
Optical Flow", 2009), and the gradient is the mean of both images' (ibid.).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend
from ._checks import shown, whole
from .tvl1_parameters import TVL1Parameters, tvl1_parameters

_LARGEST = 1e6


def tvl1_flow(frames0: Any, frames1: Any, preset: str = "fast", **parameters: Any) -> Any:
    """Estimate the motion from each frame of ``frames0`` to the one in the same place of ``frames1``.

    Parameters
    ----------
    frames0, frames1
        ``(N, H, W)`` gray, 0..255, uint8 or float32, NumPy or CuPy, of the same shape and type.
    preset
        ``"fast"`` or ``"accurate"``.
    **parameters
        Fields of ``TVL1Parameters``, to replace those of the preset.

    Returns
    -------
    array
        ``(N, H, W, 2)`` float32 in pixels, (x, y) = (right, down), from first to second frame: what is at p in the
        first is at p + flow[p] in the second. Of the same kind on the same device.

    Raises
    ------
    TypeError
        If the frames are no such arrays, or there is no parameter of such a name.
    ValueError
        If shapes are wrong or differ, a value is not finite or beyond 1e6, there is no such preset, or a parameter is
        out of range.
    """
    chosen = tvl1_parameters(preset, **parameters)
    common_backend(frames0=frames0, frames1=frames1)
    for name, frames in (("frames0", frames0), ("frames1", frames1)):
        _check(name, frames, "N")
    if frames0.shape != frames1.shape or frames0.dtype != frames1.dtype:
        raise ValueError(
            f"frames0 and frames1 must have the same shape and type, got {tuple(frames0.shape)} {frames0.dtype} and "
            f"{tuple(frames1.shape)} {frames1.dtype}"
        )
    return _solve((frames0, frames1), len(frames0), chosen)


def tvl1_flow_of_clip(frames: Any, step: int = 1, preset: str = "fast", *, out: Any = None, **parameters: Any) -> Any:
    """Estimate the motion from each frame of a clip to the one ``step`` later; each frame's pyramid is built once.

    Parameters
    ----------
    frames
        ``(T, H, W)`` gray, 0..255, uint8 or float32, NumPy or CuPy, T > step.
    step
        Distance in frames, at least 1.
    preset, **parameters
        As for ``tvl1_flow``.
    out
        Where the result goes; a new array by default.

    Returns
    -------
    array
        ``(T - step, H, W, 2)``, to the bit what ``tvl1_flow(frames[:-step], frames[step:])`` returns.

    Raises
    ------
    TypeError, ValueError
        As ``tvl1_flow``, and if ``step`` is not a positive integer below T, or ``out`` no such array.
    """
    chosen = tvl1_parameters(preset, **parameters)
    common_backend(frames=frames)
    _check("frames", frames, "T")
    lag = whole(step, 1)
    if lag is None:
        raise ValueError(f"step must be a positive integer, got {shown(step)}")
    if len(frames) <= lag:
        raise ValueError(f"flow with step {shown(lag)} needs at least {shown(lag + 1)} frames, got {len(frames)}")
    expected = (len(frames) - lag, *frames.shape[1:], 2)
    if out is not None and not (can_take_results(out, frames) and out.shape == expected and out.dtype == np.float32):
        raise ValueError(f"out must be a C-contiguous {expected} float32 array like frames, and writeable")
    return _solve((apart(frames, out),), lag, chosen, out)


def _check(name: str, frames: Any, axis: str) -> None:
    if frames.dtype not in (np.uint8, np.float32):
        raise TypeError(f"{name} must be uint8 or float32, got {frames.dtype}")
    if frames.ndim != 3 or 0 in frames.shape:
        raise ValueError(f"{name} must be ({axis}, H, W) and not empty, got shape {tuple(frames.shape)}")
    if frames.dtype == np.float32 and not bool(abs(frames.max()) <= _LARGEST and abs(frames.min()) <= _LARGEST):
        raise ValueError(
            f"{name} must be finite and at most {_LARGEST:g} in size, got NaN, infinite or larger values: intensities "
            "are 0 to 255"
        )


def _solve(stacks: tuple[Any, ...], lag: int, parameters: TVL1Parameters, out: Any = None) -> Any:
    """Solve all pairs of frames ``lag`` apart, of frames numbered through all stacks."""
    if common_backend(frames=stacks[0]) == "cuda":
        from .cuda.tvl1 import tvl1_flow_cuda

        return tvl1_flow_cuda(stacks, lag, parameters, out)
    from .cpu.tvl1 import tvl1_flow_cpu

    frames = [frame for stack in stacks for frame in stack]
    return tvl1_flow_cpu(frames, [(i, i + lag) for i in range(len(frames) - lag)], parameters, out)
