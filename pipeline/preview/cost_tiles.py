"""A cost volume as a picture: the windows of similarities around points, of a grid or chosen ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .points import COLOURS, Point

_Room = tuple[tuple[int, int], tuple[int, int]]  # rows and columns, each from and to

_LEAST_HEIGHT = 128  # smaller frames are enlarged, so that their windows can be seen
_MOST_WIDTH = 16384  # but no further than to this
_ROWS = 4
_GAP = 2
_FRAME = 3  # around the tile of a chosen point
_BACKGROUND = (17, 19, 24)
_CENTRE = (90, 190, 255)
_SHADES = np.array(  # of similarity from 0 to 1: dark violet over red and orange to pale yellow
    [(22, 14, 45), (84, 20, 90), (158, 40, 90), (222, 78, 55), (250, 152, 40), (252, 238, 170)], np.float32
)


def cost_tiles(
    volumes: NDArray[np.floating], window: tuple[int, int], points: Sequence[Point] = ()
) -> NDArray[np.uint8]:
    """Picture ``(T, H, W, (2ry+1)(2rx+1))`` similarities, given ``(ry, rx)``.

    Each tile is the window of one pixel, right and down as in the frames, with a mark at no displacement: similarity 1
    is light, 0 or less is dark. By default they are those of a grid over the frame, where its points are; those of
    chosen points are as large as can be, row by row, each in a frame of its point's colour.

    Returns
    -------
    ``(T, n * H, n * W, 3)`` uint8 RGB, ``n`` a whole number.
    """
    num_items, height, width, channels = volumes.shape
    rows, columns = 2 * window[0] + 1, 2 * window[1] + 1
    if channels != rows * columns:
        raise ValueError(f"windows of {rows}x{columns} have {rows * columns} channels, got {channels}")
    enlarge = max(1, min(-(-_LEAST_HEIGHT // height), _MOST_WIDTH // width))
    height, width = enlarge * height, enlarge * width
    pictures = np.empty((num_items, height, width, 3), np.uint8)
    pictures[:] = _BACKGROUND
    gap = 2 * _FRAME + _GAP if points else _GAP
    if points:
        places = list(zip(points, _rooms(height, width, rows / columns, len(points)), strict=False))
    else:
        places = [((y // enlarge, x // enlarge), room) for (y, x), room in _grid(height, width)]
    for number, ((y, x), ((top, bottom), (left, right))) in enumerate(places):
        tile = _shaded(volumes[:, y, x].reshape(num_items, rows, columns).astype(np.float32))
        scale = max(1, min((bottom - top - gap) // rows, (right - left - gap) // columns))
        tile = tile.repeat(scale, axis=1).repeat(scale, axis=2)
        _mark_centre(tile, scale)
        if points:
            tile = _framed(tile, COLOURS[number])
        room = pictures[:, top:bottom, left:right]
        tile = tile[:, : room.shape[1], : room.shape[2]]
        above, before = (room.shape[1] - tile.shape[1]) // 2, (room.shape[2] - tile.shape[2]) // 2
        room[:, above : above + tile.shape[1], before : before + tile.shape[2]] = tile
    return pictures


def _grid(height: int, width: int) -> Iterator[tuple[Point, _Room]]:
    """Cut a picture into about square parts, each with the point in its middle."""
    across = max(1, round(_ROWS * width / height))
    for room in product(_spans(height, _ROWS), _spans(width, across)):
        (top, bottom), (left, right) = room
        yield ((top + bottom) // 2, (left + right) // 2), room


def _rooms(height: int, width: int, shape: float, number: int) -> Iterator[_Room]:
    """Cut a picture into rows and columns for ``number`` tiles of ``shape``, height over width, as large as can be."""

    def size(across: int) -> float:
        down = -(-number // across)
        return min(height / down, width / across * shape)

    across = max(range(1, number + 1), key=size)
    return product(_spans(height, -(-number // across)), _spans(width, across))


def _framed(tile: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    num_items, height, width, _ = tile.shape
    framed = np.empty((num_items, height + 2 * _FRAME, width + 2 * _FRAME, 3), np.uint8)
    framed[:] = colour
    framed[:, _FRAME:-_FRAME, _FRAME:-_FRAME] = tile
    return framed


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
