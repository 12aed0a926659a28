"""How each modality is pictured: stored arrays to RGB, with one line that says what was done to them.

A new modality is one more entry of ``RENDERERS``; sheet, film and page then show it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .colour_wheel import colour_motion
from .cost_tiles import cost_tiles
from .points import Point

RESIDUAL_GAIN = 3  # most differences between neighbouring frames are below 20 of 255: invisible as they are
SIGNED_GAIN = 1.5  # as far from mid grey as a residual is from black
_GREY = 128
_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the pictures of one preview have in common.

    Parameters
    ----------
    motion_scale
        Pixels of motion that have full colour.
    window
        ``(ry, rx)`` of the cost volume; ``None`` takes it for a square one.
    warped_by
        What a warped difference was warped by, if that is known.
    feature_scale
        Difference of features that is white; ``None`` if a warped difference is that of colours.
    points
        Where cost volumes are shown, ``(y, x)``; a grid if there is none.
    """

    motion_scale: float = 4.0
    window: tuple[int, int] | None = None
    warped_by: str = "motion"
    feature_scale: float | None = None
    points: tuple[Point, ...] = ()


DEFAULT_LOOK = Look()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """A modality's picture.

    Parameters
    ----------
    picture
        From ``(T, H, W, C)``, in physical units where the dataset is quantised, to ``(T, H', W', 3)`` uint8.
    title
        A few words for a small place: the name, and the gain or scale if there is one.
    caption
        What the picture shows, and whatever was done to make it visible.
    """

    picture: Callable[[NDArray[Any]], NDArray[np.uint8]]
    title: str
    caption: str


def render(modality: str, array: NDArray[Any], look: Look = DEFAULT_LOOK) -> NDArray[np.uint8]:
    """Turn ``(T, H, W, C)`` of a modality into ``(T, H', W', 3)`` uint8 RGB.

    Raises
    ------
    UsageError
        No picture of this modality is known.
    """
    return get_renderer(modality, look).picture(array)


def get_renderer(modality: str, look: Look = DEFAULT_LOOK) -> Renderer:
    """Look a modality's renderer up; ``UsageError`` says which exist."""
    if modality not in RENDERERS:
        raise UsageError(f"modality {modality!r} cannot be pictured: this vidprep pictures {', '.join(RENDERERS)}")
    return RENDERERS[modality](look)


def _rgb(look: Look) -> Renderer:
    return Renderer(
        picture=lambda frames: frames.astype(np.uint8, copy=False), title="rgb", caption="the frames as stored"
    )


def _before(look: Look) -> Renderer:
    return Renderer(
        picture=lambda frames: frames.astype(np.uint8, copy=False),
        title=BEFORE,
        caption="the first frame of each pair, one step before that of rgb",
    )


def _residual(look: Look) -> Renderer:
    return Renderer(
        picture=_brightened,
        title=f"residual {RESIDUAL_GAIN}{_TIMES}",
        caption=f"the difference to the frame one step before, shown {RESIDUAL_GAIN}{_TIMES} as bright",
    )


def _flow(look: Look) -> Renderer:
    return _motion("flow", "TV-L1 flow", look)


def _displacement(look: Look) -> Renderer:
    return _motion("displacement", "displacement of the features", look)


def _motion(name: str, what: str, look: Look) -> Renderer:
    scale = look.motion_scale
    return Renderer(
        picture=lambda motion: colour_motion(motion, scale),
        title=f"{name}, full at {scale:g} px",
        caption=f"{what} since the frame one step before, coloured as on the wheel, in full colour at {scale:g} px",
    )


def _warped_difference(look: Look) -> Renderer:
    if look.feature_scale is not None:
        scale = look.feature_scale
        return Renderer(
            picture=lambda differences: _sizes(differences, scale),
            title=f"features warped by {look.warped_by}",
            caption=f"what is left of the features once the frame before is moved by the {look.warped_by}, over all "
            f"channels; white is {scale:.2g}",
        )
    return Renderer(
        picture=_around_grey,
        title=f"warped by {look.warped_by} {SIGNED_GAIN:g}{_TIMES}",
        caption=f"what is left of the difference once the frame before is moved by the {look.warped_by}; grey is "
        f"nothing, shown {SIGNED_GAIN:g}{_TIMES}",
    )


def _derived(motion: str) -> Callable[[Look], Renderer]:
    def of(look: Look) -> Renderer:
        renderer = _warped_difference(replace(look, warped_by=motion))
        return replace(renderer, caption=f"{renderer.caption}; computed for this picture, not in the cache")

    return of


def _cost_volume(look: Look) -> Renderer:
    def picture(volumes: NDArray[Any]) -> NDArray[np.uint8]:
        side = math.isqrt(volumes.shape[3]) // 2
        return cost_tiles(volumes, look.window or (side, side), look.points)

    where = "at points of the frame"
    if look.points:
        where = f"at {' and '.join(f'{x},{y}' for y, x in look.points)}, marked in the frames"
    return Renderer(
        picture=picture,
        title="cost volume",
        caption=f"{where}: similarity to what is around one step later; light is alike, the middle is no motion",
    )


def _brightened(differences: NDArray[Any]) -> NDArray[np.uint8]:
    bright: NDArray[np.uint8] = np.minimum(differences, 255 // RESIDUAL_GAIN).astype(np.uint8) * np.uint8(RESIDUAL_GAIN)
    return bright


def _around_grey(differences: NDArray[Any]) -> NDArray[np.uint8]:
    shifted = np.rint(_GREY + np.float32(SIGNED_GAIN) * differences.astype(np.float32))
    grey: NDArray[np.uint8] = np.clip(shifted, 0, 255).astype(np.uint8)
    return grey


def root_mean_square(differences: NDArray[Any]) -> NDArray[np.float32]:
    """``(..., C)`` to ``(...)``, of the channels."""
    sizes: NDArray[np.float32] = np.sqrt(np.square(differences, dtype=np.float32).mean(axis=-1))
    return sizes


def _sizes(differences: NDArray[Any], white: float) -> NDArray[np.uint8]:
    grey = np.clip(np.rint(root_mean_square(differences) * np.float32(255 / white)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


BEFORE = "rgb before"
"""The first frame of the pair whose second is ``rgb``, shown beside motion."""

DERIVED = {"warped by flow": "flow", "warped by displacement": "displacement"}
"""What a preview computes from ``rgb`` and a motion to show beside a stored ``warped-difference`` by the other."""

ON_THE_WHEEL = ("flow", "displacement")
"""Modalities whose colours the wheel explains."""

RENDERERS: dict[str, Callable[[Look], Renderer]] = {  # in the order of display, that of paper C's figure 5
    BEFORE: _before,
    "rgb": _rgb,
    "flow": _flow,
    "displacement": _displacement,
    "residual": _residual,
    "warped by flow": _derived("flow"),
    "warped-difference": _warped_difference,
    "warped by displacement": _derived("displacement"),
    "cost-volume": _cost_volume,
}
