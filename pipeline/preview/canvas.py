"""A picture to paint on: thumbnails with rounded corners, text, filled bars."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .lettering import baseline, text_mask

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


class Canvas:
    """Paints on ``pixels``, ``(H, W, 3)`` uint8. What reaches beyond the edges is cut off."""

    def __init__(self, pixels: Picture) -> None:
        self.pixels = pixels

    @classmethod
    def blank(cls, height: int, width: int, colour: Colour) -> Canvas:
        """One colour all over."""
        return cls(np.full((height, width, 3), colour, np.uint8))

    def picture(self, y: int, x: int, picture: Picture, *, radius: int = 0) -> None:
        """Lay a picture down with its top left corner at ``(y, x)``."""
        height, width = picture.shape[:2]
        self._blend(y, x, _rounded(height, width, radius), picture)

    def bar(self, y: int, x: int, height: int, width: int, colour: Colour, *, radius: int = 0) -> None:
        """Fill a rectangle."""
        self._blend(y, x, _rounded(height, width, radius), np.array(colour, np.uint8))

    def text(self, y: int, x: float, text: str, *, size: float, colour: Colour, bold: bool = False) -> None:
        """Write a line whose capitals stand on row ``y`` and are ``size`` pixels high, from column ``x`` on."""
        mask = text_mask(text, size, weight=2.2 if bold else 1.5)
        self._blend(y - baseline(size), round(x) - 1, mask, np.array(colour, np.uint8))

    def _blend(self, y: int, x: int, mask: NDArray[np.float32], colours: Picture) -> None:
        top, left = max(0, -y), max(0, -x)
        target = self.pixels[y + top : y + mask.shape[0], x + left : x + mask.shape[1]]
        mask = mask[top : top + target.shape[0], left : left + target.shape[1], None]
        if colours.ndim == 3:
            colours = colours[top : top + target.shape[0], left : left + target.shape[1]]
        target[:] = np.rint(target + mask * (colours.astype(np.float32) - target))


def fit(picture: Picture, height: int, width: int) -> Picture:
    """Resize ``(H, W, 3)`` with a triangle filter: linear when enlarging, free of aliasing when shrinking."""
    if picture.shape[:2] == (height, width):
        return picture
    rows, columns = _weights(picture.shape[0], height), _weights(picture.shape[1], width)
    # As two plain matrix products: ten times faster than what einsum makes of it.
    tall = rows @ picture.reshape(picture.shape[0], -1).astype(np.float32)
    channels = tall.reshape(height, picture.shape[1], 3).transpose(0, 2, 1).reshape(3 * height, -1)
    wide = (channels @ columns.T).reshape(height, 3, width).transpose(0, 2, 1)
    resized: Picture = np.rint(wide).astype(np.uint8, order="C")
    return resized


@cache
def _weights(source: int, target: int) -> NDArray[np.float32]:
    """``(target, source)``; rows sum to one."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(source) - np.clip(centres, 0, source - 1)[:, None])
    weights = np.maximum(0, 1 - distance / max(1.0, scale))
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


@cache
def _rounded(height: int, width: int, radius: int) -> NDArray[np.float32]:
    """Coverage of a rectangle with rounded corners."""
    if radius == 0:
        return np.ones((height, width), np.float32)
    y = np.maximum(0, radius - np.minimum(np.arange(height) + 0.5, height - np.arange(height) - 0.5))
    x = np.maximum(0, radius - np.minimum(np.arange(width) + 0.5, width - np.arange(width) - 0.5))
    coverage: NDArray[np.float32] = np.clip(radius + 0.5 - np.hypot(y[:, None], x), 0, 1).astype(np.float32)
    return coverage
