"""What every decoder hands on: a stream's description and chunks of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A video stream as its container describes it. Nothing here is trusted for frame counts."""

    codec: str  # FFmpeg's name: h264, hevc, mpeg4, ...
    pixel_format: str  # FFmpeg's name: yuv420p, yuv420p10le, ...
    width: int  # displayed, after rotation
    height: int
    fps: Fraction  # average rate; 0 if the container does not say
    rotation: int  # degrees clockwise that the decoder applied: 0, 90, 180 or 270

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a stream of {self.width}x{self.height} pixels has no picture")
        assert self.rotation in (0, 90, 180, 270), self.rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChunk:
    """Consecutive frames in display order.

    Parameters
    ----------
    frames
        ``(lead + T, H, W, 3)`` uint8 RGB, NumPy or CuPy, C-contiguous, T >= 1: the last frames of the chunk before
        once more, then T new ones. Valid until the next chunk is asked for: a source may use its buffer again.
    start
        Index of the first new frame among those delivered (after ``--fps`` picked some).
    times
        ``(T,)`` float64 presentation times in seconds of the new frames.
    lead
        How many frames the chunk begins with that were in the one before: what motion is computed from lies side by
        side. None in a video's first chunk, which is longer by as many, so that items fill stored chunks evenly.
    """

    frames: Any
    start: int
    times: NDArray[np.float64]
    lead: int = 0

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if len(shape) != 4 or shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames must be (T, H, W, 3) uint8, got {shape} {self.frames.dtype}")
        if not 0 <= self.lead < shape[0]:
            raise ValueError(f"a chunk must hold a new frame, got {shape[0]} frames after a lead of {self.lead}")
        if self.times.shape != (shape[0] - self.lead,):
            raise ValueError(f"{shape[0] - self.lead} new frames need as many times, got {self.times.shape}")


class FrameSource(Protocol):
    """An open video. Iterating yields ``FrameChunk``s once; memory is bounded by a few chunks.

    Attributes
    ----------
    info
        The stream.
    decoder
        Who decodes: ``pyav`` or ``dali``.

    Raises
    ------
    VideoError
        While iterating, when the video is damaged: a broken video is an error, not a shorter video.
    """

    info: StreamInfo
    decoder: str

    def __iter__(self) -> Iterator[FrameChunk]: ...

    def close(self) -> None: ...
