"""Which frames a constant frame rate takes, by their timestamps alone.

The rule is that of FFmpeg's ``fps`` filter with its default rounding (``round=near``), so a cache made with
``--fps 10`` holds the frames that ``ffmpeg -vf fps=10`` writes. Output ``k`` stands for the time ``t0 + k / fps``,
where ``t0`` is the time of the first frame; a frame of time ``t`` takes its place at output ``round((t - t0) * fps)``,
halves upwards, and stays until the next frame's place. So frames are dropped where the source is faster than ``fps``,
and shown again where it is slower: the output's rate is constant, whatever the source's. The last frame stays for one
average frame period. Unlike FFmpeg, a video with frames always gives one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_UNKNOWN_RATE = Fraction(25)  # frames per second, where the container names none
_LONGEST_GAP = 60.0  # seconds a frame can stay: beyond, a timestamp is taken for damaged
_TIE = 1e-6  # of an output period: containers round times to a tick, and halves go upwards

_Frame = TypeVar("_Frame")


class TimeRepair:
    """Make timestamps finite and strictly increasing.

    A time that is missing, not after the one before, or more than 60 s after it is replaced by the one before plus an
    average frame period; if the clock jumped for good, the times after it keep their distance to it.

    Parameters
    ----------
    rate
        Average frames per second of the stream; 0 if the container does not say, and 25 is taken.
    """

    def __init__(self, rate: Fraction | float) -> None:
        self.period = 1 / float(rate if 0 < rate <= 1000 else _UNKNOWN_RATE)
        self._offset = 0.0
        self._last: float | None = None

    def __call__(self, time: float | None) -> float:
        """Return the time, in seconds, that the next frame has."""
        last = self._last
        if last is not None and time is not None and self._offset == 0 and 0 < time - last <= _LONGEST_GAP:
            self._last = time  # as nearly always
            return time
        if last is None:
            self._last = time if time is not None and math.isfinite(time) else 0.0
            return self._last
        repaired = last + self.period
        if time is not None and math.isfinite(time):
            believable = [t for t in (time, time + self._offset) if 0 < t - last <= _LONGEST_GAP]
            if believable:  # the nearer one: the time itself again after a single bad one, or the shifted clock
                repaired = min(believable)
            self._offset = repaired - time
        self._last = repaired
        return repaired


class FramePicker:
    """The rule in streaming form: how long a frame stays is known when the next one comes.

    Parameters
    ----------
    fps
        Frames per second wanted, above 0; ``None`` takes every frame once, at its own (repaired) time.
    rate
        Average frames per second of the stream, for ``TimeRepair``.
    """

    def __init__(self, fps: Fraction | float | None, rate: Fraction | float = 0) -> None:
        if fps is not None and not 0 < fps < math.inf:
            raise ValueError(f"fps must be above 0, got {fps}")
        self._fps = None if fps is None else float(fps)
        self._repair = TimeRepair(rate)
        self._first: float | None = None
        self._held: float | None = None  # time of the frame whose turn has not ended
        self._next = 0  # output not yet given

    def push(self, time: float | None) -> list[float]:
        """Take the next frame's time; return the output times (s) of the frame *before* it, none if that is dropped."""
        repaired = self._repair(time)
        outputs = self._until(repaired) if self._held is not None else []
        if self._first is None:
            self._first = repaired
        self._held = repaired
        return outputs

    def finish(self) -> list[float]:
        """Return the output times (s) of the last frame; a video with frames gives at least one output."""
        if self._held is None:
            return []
        outputs = self._until(self._held + self._repair.period)
        if self._fps is not None and self._next == 0:
            assert self._first is not None
            outputs = [self._first]
        self._held = None
        return outputs

    def _until(self, time: float) -> list[float]:
        """Return the outputs of the held frame, which stays until ``time``."""
        assert self._held is not None
        assert self._first is not None
        if self._fps is None:
            return [self._held]
        place = math.floor((time - self._first) * self._fps + 0.5 + _TIE)
        outputs = [self._first + k / self._fps for k in range(self._next, place)]
        self._next = max(self._next, place)
        return outputs


def pick(
    frames: Iterable[tuple[_Frame, float | None]], fps: Fraction | float | None, rate: Fraction | float = 0
) -> Iterator[tuple[_Frame, list[float]]]:
    """Yield ``(frame, output times)`` of the frames to show, from frames with their times; holds one frame back.

    Parameters
    ----------
    frames
        ``(frame, time in seconds or None)`` in display order.
    fps, rate
        As for ``FramePicker``.
    """
    picker = FramePicker(fps, rate)
    held: list[_Frame] = []
    for frame, time in frames:
        outputs = picker.push(time)
        if outputs:
            yield held[0], outputs
        held = [frame]
    outputs = picker.finish()
    if outputs:
        yield held[0], outputs


def pick_frames(
    times: Iterable[float | None], fps: Fraction | float | None, rate: Fraction | float = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which frame each output shows, and each output's time in seconds.

    Parameters
    ----------
    times
        Presentation times in display order, seconds; ``None`` where missing.
    fps, rate
        As for ``FramePicker``.

    Returns
    -------
    indices, outputs
        ``(N,)`` int64, not decreasing, with repetitions where the source is slower; ``(N,)`` float64.
    """
    indices: list[int] = []
    outputs: list[float] = []
    for index, shown in pick(enumerate(times), fps, rate):
        indices.extend([index] * len(shown))
        outputs.extend(shown)
    return np.array(indices, np.int64), np.array(outputs, np.float64)
