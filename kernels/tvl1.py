"""TV-L1 optical flow: total variation of the flow, L1 norm of the difference in brightness.

Zach, Pock, Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007, in the form of Sanchez,
Meinhardt-Llopis, Facciolo, "TV-L1 Optical Flow Estimation", IPOL 2013: the energy ``sum |grad u1| + |grad u2| + lambda
|I1(x + u) - I0(x)|`` is split by an auxiliary flow v with the coupling ``|u - v|^2 / (2 theta)``, linearised by warping
(``num_warps`` times a scale, over a pyramid of scales), and solved by turns: a threshold step for v, a dual step for
u. Between rounds of iterations the flow may be median filtered (Wedel et al., "An Improved Algorithm for TV-L1
Optical Flow", 2009), and the gradient is the mean of both images' (ibid.).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ._backend import apart, can_take_results, common_backend
from ._checks import real, shown, whole

_MEDIAN_SIZES = (1, 3, 5)
_TINY, _HUGE = 1e-6, 1e6
_MOST_ITERATIONS = 1_000_000
_RANGES = {  # least, most, in words
    "tau": (_TINY, 0.25, "above 0 and at most 0.25"),
    "lambda_": (_TINY, _HUGE, "above 0"),
    "theta": (_TINY, _HUGE, "above 0"),
    "epsilon": (0.0, _HUGE, "0 or above"),
    "scale_factor": (0.1, 0.95, "from 0.1 to 0.95"),
    "presmoothing_sigma": (0.0, 10.0, "from 0 to 10"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TVL1Parameters:
    """Parameters of TV-L1 under the names they have in the papers; intensities are 0..255, counts up to a million.

    Parameters
    ----------
    tau
        Time step of the dual iterations, in (0, 0.25].
    lambda_
        Weight of the data term, above 0: smaller is smoother.
    theta
        Coupling of u and v, above 0.
    num_warps
        How often each scale linearises the data term, at least 1.
    max_iterations
        Iterations for each warp at most, at least 1.
    inner_iterations
        Iterations between two median filters, after which convergence is looked at, at least 1.
    epsilon
        A warp ends when the last iteration changed u by less than this, root mean square in pixels; 0: if by nothing.
    num_scales
        Levels of the pyramid at most, at least 1; fewer if a side would fall below 16 pixels.
    scale_factor
        Size of a level relative to the next finer one, from 0.1 to 0.95.
    median_size
        Window of the median filter: 3 or 5; 1: none.
    presmoothing_sigma
        Standard deviation of the Gaussian that images are smoothed with first, in pixels, at most 10; 0: none.

    Raises
    ------
    ValueError
        If a value is outside its range.
    """

    tau: float = 0.25
    lambda_: float = 0.25
    theta: float = 0.3
    num_warps: int = 3
    max_iterations: int = 16
    inner_iterations: int = 8
    epsilon: float = 0.01
    num_scales: int = 20
    scale_factor: float = 0.65
    median_size: int = 3
    presmoothing_sigma: float = 0.5

    def __post_init__(self) -> None:
        for name in ("num_warps", "max_iterations", "inner_iterations", "num_scales"):
            value = getattr(self, name)
            count = whole(value, 1, _MOST_ITERATIONS)
            if count is None:
                raise ValueError(f"{name} must be an integer from 1 to {_MOST_ITERATIONS}, got {shown(value)}")
            object.__setattr__(self, name, count)
        for name, (low, high, words) in _RANGES.items():
            value = getattr(self, name)
            number = real(value)
            if number is None or not low <= number <= high:
                raise ValueError(f"{name} must be a number {words}, got {shown(value)}")
            object.__setattr__(self, name, number)
        size = whole(self.median_size, 1)
        if size not in _MEDIAN_SIZES:
            raise ValueError(
                f"median_size must be one of {_MEDIAN_SIZES} (1: no filter), got {shown(self.median_size)}"
            )
        object.__setattr__(self, "median_size", size)


PRESETS: Mapping[str, TVL1Parameters] = MappingProxyType(
    {
        "fast": TVL1Parameters(),
        "accurate": TVL1Parameters(
            num_warps=5, max_iterations=30, inner_iterations=10, num_scales=40, scale_factor=0.8, median_size=5
        ),
    }
)


def tvl1_parameters(preset: str = "fast", **parameters: Any) -> TVL1Parameters:
    """Return a preset with some of its parameters replaced.

    Raises
    ------
    TypeError
        If there is no parameter of such a name.
    ValueError
        If there is no such preset, or a value is outside its range.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(map(repr, PRESETS))}, got {shown(preset)}")
    names = [field.name for field in dataclasses.fields(TVL1Parameters)]
    unknown = sorted(parameters.keys() - set(names))
    if unknown:
        raise TypeError(f"there is no TV-L1 parameter {', '.join(unknown)}: there are {', '.join(names)}")
    return dataclasses.replace(PRESETS[preset], **parameters)


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
    if frames.dtype == np.float32 and not bool(abs(frames.max()) <= _HUGE and abs(frames.min()) <= _HUGE):
        raise ValueError(
            f"{name} must be finite and at most {_HUGE:g} in size, got NaN, infinite or larger values: intensities are "
            "0 to 255"
        )


def _solve(stacks: tuple[Any, ...], lag: int, parameters: TVL1Parameters, out: Any = None) -> Any:
    """Solve all pairs of frames ``lag`` apart, of frames numbered through all stacks."""
    if common_backend(frames=stacks[0]) == "cuda":
        from .cuda.tvl1 import tvl1_flow_cuda

        return tvl1_flow_cuda(stacks, lag, parameters, out)
    from .cpu.tvl1 import tvl1_flow_cpu

    frames = [frame for stack in stacks for frame in stack]
    return tvl1_flow_cpu(frames, [(i, i + lag) for i in range(len(frames) - lag)], parameters, out)
