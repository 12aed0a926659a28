"""What can be computed from frames and stored. One object a modality: how it computes, what its dataset looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..kernels import residual
from .errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """A recipe from frames to stored arrays.

    Parameters
    ----------
    name
        As on the command line and in the cache.
    channels
        Of the stored array.
    dtype
        NumPy's name of the stored type.
    halo
        ``halo(step)``: how many frames before a chunk are needed to compute its first item. A video of T frames
        gives T - halo items.
    compute
        ``compute(frames, step, out)``: from ``(T, H, W, 3)`` uint8, NumPy or CuPy, to ``(T - halo, H, W, channels)``,
        written into ``out``, an array of the same kind.
    """

    name: str
    channels: int
    dtype: str
    halo: Callable[[int], int]
    compute: Callable[[Any, int, Any], None]


def _rgb(frames: Any, step: int, out: Any) -> None:
    out[:] = frames


def _residual(frames: Any, step: int, out: Any) -> None:
    residual(frames, step, out=out)


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality(name="rgb", channels=3, dtype="uint8", halo=lambda step: 0, compute=_rgb),
        Modality(name="residual", channels=3, dtype="uint8", halo=lambda step: step, compute=_residual),
    )
}


def get_modality(name: str) -> Modality:
    """Look a modality up by name; ``UsageError`` says which exist."""
    if not isinstance(name, str) or name not in MODALITIES:
        raise UsageError(f"there is no modality {name!r}: choose from {', '.join(MODALITIES)}")
    return MODALITIES[name]
