"""What extraction tells the cache about a video and its datasets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DTYPES = ("uint8", "int8", "uint16", "int16", "float16", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """One modality of one video, ``(T, height, width, channels)``.

    Parameters
    ----------
    dtype
        One of ``DTYPES``.
    scale_factor, add_offset
        The physical value is ``stored * scale_factor + add_offset`` (the CF convention); None if the stored values
        are the physical ones.
    """

    modality: str
    height: int
    width: int
    channels: int
    dtype: str
    scale_factor: float | None = None
    add_offset: float | None = None

    def __post_init__(self) -> None:
        if not self.modality or "/" in self.modality or self.modality in (".", ".."):
            raise ValueError(f"{self.modality!r} cannot name a dataset")
        if min(self.height, self.width, self.channels) < 1:
            raise ValueError(f"frames of {self.height}x{self.width}x{self.channels} values are empty")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} cannot be stored; use one of {', '.join(DTYPES)}")
        if (self.scale_factor is None) != (self.add_offset is None):
            raise ValueError("scale_factor and add_offset go together")

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The dtype on disk: always little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def frame_bytes(self) -> int:
        return self.height * self.width * self.channels * self.numpy_dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEntry:
    """One video as it was read.

    Parameters
    ----------
    fps
        Frames per second of the delivered frames; 0 if unknown.
    num_frames
        Frames that the decoder delivered.
    codec, pixel_format, width, height, rotation
        The source stream, as FFmpeg names it; the size is the displayed one.
    decoder, decoder_note
        Who decoded it, and why not the decoder that was asked for (empty if it was).
    """

    label: str | None
    split: str | None
    fps: float
    num_frames: int
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    decoder: str
    decoder_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Failure:
    """A video that is not in the cache: where it failed (``open``, ``decode``, ...) and one sentence why."""

    video: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVideo:
    """A video to extract.

    Parameters
    ----------
    path
        Where its file is, below ``PlanTable.source`` or absolute.
    source_bytes
        Size of its file.
    """

    video: str
    path: str
    label: str | None
    split: str | None
    shard: int
    source_bytes: int
