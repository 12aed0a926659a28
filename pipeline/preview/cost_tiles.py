"""A cost volume as a picture: at points of a grid, the window of similarities around each, where the point is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST_HEIGHT = 128  # smaller frames are enlarged, so that their windows can be seen
_ROWS = 4
_GAP = 2
_BACKGROUND = (17, 19, 24)
_CENTRE = (90, 190, 255)
_SHADES = np.array(  # of similarity from 0 to 1: dark violet over red and orange to pale yellow
    [(22, 14, 45), (84, 20, 90), (158, 40, 90), (222, 78, 55), (250, 152, 40), (252, 238, 170)], np.float32
)


def cost_tiles(volumes: NDArray[np.floating], window: tuple[int, int]) -> NDArray[np.uint8]:
    """Picture ``(T, H, W, (2ry+1)(2rx+1))`` similarities, given ``(ry, rx)``.

    Each tile is the window of one pixel, right and down as in the frames, with a mark at no displacement: similarity 1
    is light, 0 or less is dark.

    Returns
    -------
    ``(T, n * H, n * W, 3)`` uint8 RGB, ``n`` a whole number.
    """
    num_items, height, width, channels = volumes.shape
    rows, columns = 2 * window[0] + 1, 2 * window[1] + 1
    if channels != rows * columns:
        raise ValueError(f"windows of {rows}x{columns} have {rows * columns} channels, got {channels}")
    enlarge = -(-_LEAST_HEIGHT // height)
    height, width = enlarge * height, enlarge * width
    across = max(1, round(_ROWS * width / height))
    pictures = np.empty((num_items, height, width, 3), np.uint8)
    pictures[:] = _BACKGROUND
    for top, bottom in _spans(height, _ROWS):
        for left, right in _spans(width, across):
            windows = volumes[:, (top + bottom) // 2 // enlarge, (left + right) // 2 // enlarge]
            tile = _shaded(windows.reshape(num_items, rows, columns).astype(np.float32))
            scale = max(1, min((bottom - top - _GAP) // rows, (right - left - _GAP) // columns))
            tile = tile.repeat(scale, axis=1).repeat(scale, axis=2)
            _mark_centre(tile, scale)
            room = pictures[:, top:bottom, left:right]
            tile = tile[:, : room.shape[1], : room.shape[2]]
            y, x = (room.shape[1] - tile.shape[1]) // 2, (room.shape[2] - tile.shape[2]) // 2
            room[:, y : y + tile.shape[1], x : x + tile.shape[2]] = tile
    return pictures


def _spans(length: int, number: int) -> list[tuple[int, int]]:
    """Cut ``length`` pixels into up to ``number`` equal parts."""
    number = min(number, length)
    return [(length * i // number, length * (i + 1) // number) for i in range(number)]


def _shaded(similarity: NDArray[np.float32]) -> NDArray[np.uint8]:
    place = np.clip(similarity, 0, 1) * (len(_SHADES) - 1)
    shades = [np.interp(place, np.arange(len(_SHADES)), _SHADES[:, channel]) for channel in range(3)]
    return np.rint(np.stack(shades, axis=-1)).astype(np.uint8)


def _mark_centre(tile: NDArray[np.uint8], scale: int) -> None:
    """Frame the element in the middle, if it is large enough to be seen inside of the frame."""
    if scale < 3:
        return
    y, x = ((side // scale // 2) * scale for side in tile.shape[1:3])
    element = tile[:, y : y + scale, x : x + scale]
    inside = element[:, 1:-1, 1:-1].copy()
    element[:] = _CENTRE
    element[:, 1:-1, 1:-1] = inside
