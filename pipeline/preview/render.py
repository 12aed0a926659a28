"""How each modality is pictured: stored arrays to RGB, with one line that says what was done to them.

A new modality is one more entry of ``RENDERERS``; sheet, film and page then show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

RESIDUAL_GAIN = 3  # most differences between neighbouring frames are below 20 of 255: invisible as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """A modality's picture.

    Parameters
    ----------
    picture
        From ``(T, H, W, C)``, in physical units where the dataset is quantised, to ``(T, H, W, 3)`` uint8.
    title
        A few words for a small place: the name, and the gain if there is one.
    caption
        What the picture shows, and whatever was done to make it visible.
    """

    picture: Callable[[NDArray[Any]], NDArray[np.uint8]]
    title: str
    caption: str


def render(modality: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn ``(T, H, W, C)`` of a modality into ``(T, H, W, 3)`` uint8 RGB.

    Raises
    ------
    UsageError
        No picture of this modality is known.
    """
    return get_renderer(modality).picture(array)


def get_renderer(modality: str) -> Renderer:
    """Look a modality's renderer up; ``UsageError`` says which exist."""
    if modality not in RENDERERS:
        raise UsageError(f"modality {modality!r} cannot be pictured: this vidprep pictures {', '.join(RENDERERS)}")
    return RENDERERS[modality]


def _as_stored(frames: NDArray[Any]) -> NDArray[np.uint8]:
    return frames.astype(np.uint8, copy=False)


def _brightened(differences: NDArray[Any]) -> NDArray[np.uint8]:
    bright: NDArray[np.uint8] = np.minimum(differences, 255 // RESIDUAL_GAIN).astype(np.uint8) * np.uint8(RESIDUAL_GAIN)
    return bright


RENDERERS = {
    "rgb": Renderer(picture=_as_stored, title="rgb", caption="the frames as stored"),
    "residual": Renderer(
        picture=_brightened,
        title=f"residual {RESIDUAL_GAIN}\N{MULTIPLICATION SIGN}",
        caption=f"the difference to the frame one step before, shown {RESIDUAL_GAIN}\N{MULTIPLICATION SIGN} as bright",
    ),
}
