"""Which box of a clip a network sees in training: its size, its place, and whether it is mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..pipeline.errors import UsageError
from .frame_crop import crop_size
from .randomness import integers, uniform

Place = Literal["random", "corners", "center"]

_MOST_STEPS_APART = 1
_FIXED_PLACES = 5

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CropRule:
    """How boxes are chosen.

    All numbers are whole pixels, so that a box that happens to have the network's size is a copy.

    Parameters
    ----------
    size
        ``(height, width)`` that the boxes will be resized to.
    place
        ``"random"``: all places inside the frame are equally likely. ``"corners"``: the four corners and the centre
        are. ``"center"``, always. None: the box is the whole frame, whatever its proportions.
    scales
        None: boxes are of ``size``. Else the sides are those of the largest box of these proportions in the frame
        (for a square ``size`` the short side, squared), times one of these numbers; height and width each have
        theirs, at most one step apart in the order given, and all such pairs are equally likely. Wang et al.,
        "Temporal Segment Networks", ECCV 2016, section 3.2, and after it paper D: 1, .875, .75 and .66; that both sides
        are no more than a step apart is from the published code.
    aspect_jitter
        Height and width are multiplied by numbers from ``1 - aspect_jitter`` to ``1 + aspect_jitter``, chosen each
        by itself, and cut off at the frame. Paper D, section 3.4: 0.25.

    Raises
    ------
    UsageError
        If a value is none of these.
    """

    size: tuple[int, int]
    place: Place | None = "random"
    scales: tuple[float, ...] | None = None
    aspect_jitter: float = 0.0

    def __post_init__(self) -> None:
        size = crop_size(self.size, "size")
        if size is None:
            raise UsageError("size must be (height, width), got None")
        object.__setattr__(self, "size", size)
        if self.place is not None and self.place not in get_args(Place):
            choices = ", ".join(repr(name) for name in get_args(Place))
            raise UsageError(f"crop must be one of {choices}, or None for whole frames, got {self.place!r}")
        if self.scales is not None:
            object.__setattr__(self, "scales", _checked_scales(self.scales))
        if not (_is_number(self.aspect_jitter) and 0 <= self.aspect_jitter < 1):
            raise UsageError(f"aspect_jitter must be at least 0 and less than 1, got {self.aspect_jitter!r}")
        if self.place is None and (self.scales is not None or self.aspect_jitter):
            raise UsageError(
                "scales and aspect_jitter are for boxes, and crop=None takes whole frames: choose a crop or leave them"
            )

    @property
    def random(self) -> bool:
        """Whether anything about the boxes is."""
        return self.place in ("random", "corners") or bool(self.aspect_jitter) or len(self.scales or ()) > 1

    def boxes(self, seed: int, epochs: Integers, samples: Integers, frame_size: tuple[int, int]) -> Integers:
        """Choose a box for each sample, a function of seed, epoch and sample.

        Parameters
        ----------
        epochs, samples
            ``(N,)``.
        frame_size
            Height and width of the frames.

        Returns
        -------
        ndarray
            ``(N, 4)``: y, x, height, width.

        Raises
        ------
        UsageError
            If the frames are smaller than ``size``, and ``scales`` does not fit boxes to them.
        """
        frame = np.array(frame_size)
        if self.place is None:
            return np.tile((0, 0, *frame), (len(samples), 1)).astype(np.int64)
        sides = self._sides(seed, epochs, samples, frame)
        room = frame - sides
        if self.place == "random":
            corners = integers(seed, epochs[:, None], samples[:, None], "box place", room + 1, np.arange(2))
        elif self.place == "corners":
            place = integers(seed, epochs, samples, "box corner", _FIXED_PLACES)[:, None]
            ends = np.concatenate([place // 2, place % 2], axis=1)  # of rows and columns: the first or the last
            corners = np.where(place == _FIXED_PLACES - 1, room // 2, ends * room)
        else:
            corners = room // 2
        return np.concatenate([corners, sides], axis=1)

    def _sides(self, seed: int, epochs: Integers, samples: Integers, frame: Integers) -> Integers:
        """Return ``(N, 2)``: height and width."""
        size = np.array(self.size)
        if self.scales is None:
            if (size > frame).any():
                raise UsageError(
                    f"frames of {frame[0]}x{frame[1]} pixels are smaller than boxes of {size[0]}x{size[1]}: give "
                    "scales, which are relative to the frame, or crop=None for whole frames"
                )
            sides = np.broadcast_to(size.astype(np.float64), (len(samples), 2))
        else:
            steps = range(len(self.scales))
            pairs = [pair for pair in product(steps, steps) if abs(pair[0] - pair[1]) <= _MOST_STEPS_APART]
            chosen = np.array(pairs)[integers(seed, epochs, samples, "box scales", len(pairs))]
            sides = size * (frame / size).min() * np.array(self.scales)[chosen]
        if self.aspect_jitter:
            draws = uniform(seed, epochs[:, None], samples[:, None], "box aspect", np.arange(2))
            sides = sides * (1 + self.aspect_jitter * (2 * draws - 1))
        slack = 1e-9  # 0.875 * 256 is not to become 223
        return np.clip(np.floor(sides + slack).astype(np.int64), 1, frame)


def flips(seed: int, epochs: Integers, samples: Integers) -> NDArray[np.bool_]:
    """Return which samples are mirrored, left to right: half of them."""
    return uniform(seed, epochs, samples, "flip") < 0.5


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _checked_scales(scales: Any) -> tuple[float, ...]:
    listed = isinstance(scales, (Sequence, np.ndarray)) and not isinstance(scales, str)
    numbers = tuple(scales) if listed else ()
    if not numbers or not all(_is_number(number) and 0 < number <= 1 for number in numbers):
        raise UsageError(f"scales must be numbers above 0 and up to 1, such as (1, 0.875, 0.75, 0.66), got {scales!r}")
    return tuple(float(number) for number in numbers)
