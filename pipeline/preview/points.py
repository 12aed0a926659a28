"""Points at which a cost volume is looked at: checked, and marked in the frames, each in a colour of its own."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..option_names import option

if TYPE_CHECKING:
    from ..cache import VideoInfo

Point = tuple[int, int]
"""``(y, x)``: row and column of a cached frame's pixel."""

COLOURS = ((60, 200, 255), (255, 150, 30), (120, 230, 80), (255, 90, 200), (255, 230, 70), (150, 130, 255))
"""Of the points, in their order."""

_RIM = (10, 10, 14)
_PIXEL_BY_PIXEL = 128  # frames of this height are shown as they are; lines are as wide as that needs


def check_points(points: Iterable[Any], videos: Sequence[VideoInfo]) -> tuple[Point, ...]:
    """Return points that all videos shown have, without doubles.

    Raises
    ------
    UsageError
        One is no point, or outside of a video's frames; there are too many to be told apart; or there is no cost
        volume to be seen.
    """
    name = option("points", "a point")
    chosen = tuple(dict.fromkeys(_point(point, name) for point in points))
    if not chosen:
        return ()
    if len(chosen) > len(COLOURS):
        raise UsageError(f"{name} can be given up to {len(COLOURS)} times, got {len(chosen)} points: leave some out")
    if not any("cost-volume" in video.modalities for video in videos):
        there = ", ".join(dict.fromkeys(modality for video in videos for modality in video.modalities))
        raise UsageError(
            f"{name} is where a cost volume is shown, and this cache holds {there}: extract cost-volume too, or leave "
            "it out"
        )
    for video in videos:
        stored = next(iter(video.modalities.values()))  # all of a video's are of one size
        for y, x in chosen:
            if not (0 <= y < stored.height and 0 <= x < stored.width):
                raise UsageError(
                    f"{name} at x = {x}, y = {y} is outside of the cached frames of {video.id!r}, which are "
                    f"{stored.width}x{stored.height}: x may be 0 to {stored.width - 1}, and y 0 to {stored.height - 1}"
                )
    return chosen


def mark_points(pictures: NDArray[np.uint8], points: Sequence[Point], reach: tuple[int, int]) -> NDArray[np.uint8]:
    """Return ``(T, H, W, 3)`` pictures with a frame around what is up to ``reach`` (down, across) from each point."""
    marked = pictures.copy()
    width = max(1, round(pictures.shape[1] / _PIXEL_BY_PIXEL))
    for point, colour in zip(points, COLOURS, strict=False):
        for margin, shade in ((width, _RIM), (0, colour)):
            _frame(marked, point, (reach[0] + margin, reach[1] + margin), width, shade)
    return marked


def _frame(
    pictures: NDArray[np.uint8], point: Point, reach: tuple[int, int], width: int, colour: tuple[int, int, int]
) -> None:
    (top, bottom), (left, right) = ((at - far, at + far + 1) for at, far in zip(point, reach, strict=True))
    for rows, columns in (
        ((top - width, top), (left - width, right + width)),
        ((bottom, bottom + width), (left - width, right + width)),
        ((top, bottom), (left - width, left)),
        ((top, bottom), (right, right + width)),
    ):
        (y0, y1), (x0, x1) = ((max(0, start), max(0, stop)) for start, stop in (rows, columns))
        pictures[:, y0:y1, x0:x1] = colour


def _point(point: Any, name: str) -> Point:
    try:
        y, x = (operator.index(number) for number in point)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be (y, x), the row and the column of a pixel, got {point!r}") from None
    return y, x
