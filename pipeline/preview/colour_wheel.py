"""Motion as colour: the hue is the direction, the saturation the length, as in the figures of the Middlebury benchmark.

The wheel is that of Baker, Scharstein, Lewis, Roth, Black, Szeliski, "A Database and Evaluation Methodology for Optical
Flow", IJCV 2011: 55 hues from red over yellow, green, cyan, blue and magenta back to red, more of them where the eye
tells more apart.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_RED, _YELLOW, _GREEN, _CYAN, _BLUE, _MAGENTA = (
    (255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255),
)  # fmt: skip
_ARCS = (  # a hue, the next one, and the steps between them
    (_RED, _YELLOW, 15),
    (_YELLOW, _GREEN, 6),
    (_GREEN, _CYAN, 4),
    (_CYAN, _BLUE, 11),
    (_BLUE, _MAGENTA, 13),
    (_MAGENTA, _RED, 6),
)
_TOO_LONG = 0.75  # motion beyond the scale is darker, at full saturation


def colour_motion(motion: NDArray[np.floating], scale: float) -> NDArray[np.uint8]:
    """Colour ``(..., 2)`` motion, (x, y) = (right, down): white is none, full colour ``scale`` pixels, darker is more.

    Returns
    -------
    ``(..., 3)`` uint8 RGB.
    """
    wheel = _wheel()
    x, y = (motion[..., axis].astype(np.float32) for axis in (0, 1))
    length = np.hypot(x, y) / np.float32(scale)
    place = (np.arctan2(-y, -x) / np.float32(np.pi) + 1) / 2 * (len(wheel) - 1)
    colours = np.empty((*length.shape, 3), np.uint8)
    for channel in range(3):
        hue = np.interp(place, np.arange(len(wheel)), wheel[:, channel])
        shade = np.where(length <= 1, 255 - length * (255 - hue), _TOO_LONG * hue)
        colours[..., channel] = np.rint(shade)
    return colours


@cache
def wheel_picture(diameter: int) -> NDArray[np.uint8]:
    """Return the wheel itself, ``(diameter, diameter, 3)``: every motion up to the scale, from its middle."""
    axis = (np.arange(diameter, dtype=np.float32) + 0.5) / diameter * 2 - 1
    motion = np.stack(np.meshgrid(axis, axis), axis=-1)
    longest = np.maximum(1, np.hypot(motion[..., :1], motion[..., 1:]))  # the corners are cut off
    picture = colour_motion(motion / longest, 1.0 + 1e-6)
    picture.flags.writeable = False
    return picture


@cache
def _wheel() -> NDArray[np.float64]:
    arcs = [
        np.array(start) + np.arange(steps)[:, None] / steps * (np.array(end) - np.array(start))
        for start, end, steps in _ARCS
    ]
    hues: NDArray[np.float64] = np.floor(np.concatenate(arcs))
    return hues
