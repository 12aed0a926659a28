"""Parameters of TV-L1 flow under the names they have in the papers, and the presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

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
