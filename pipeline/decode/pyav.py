"""Decoding on the CPU with PyAV (FFmpeg), one thread: processes scale, threads of one decoder do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ...kernels.cpu.yuv import FrameConverter
from ...kernels.yuv_tables import YuvFormat
from ..errors import VideoError
from .container import CENTRED_CHROMA, clockwise_rotation, open_video, words
from .cut_short import missing_bytes
from .frame_count import missing_frames
from .frames import FrameChunk, StreamInfo
from .pictures import planar_format, plane_addresses, to_planar
from .sampling import TimeRepair, pick
from .size import FrameSize


def open_pyav(
    path: str | Path, *, size: FrameSize, fps: Fraction | None = None, chunk_frames: int = 8, lead: int = 0
) -> PyavSource:
    """Open a video for decoding on the CPU.

    Parameters
    ----------
    path
        The file.
    size
        Which size the frames are to have.
    fps
        Frames per second to pick by timestamp; ``None`` takes every frame.
    chunk_frames
        New frames a chunk holds at most, the first one ``lead`` more.
    lead
        Frames of the chunk before that the others begin with.

    Returns
    -------
    PyavSource
        A ``FrameSource``; the first frame is already decoded.

    Raises
    ------
    VideoError
        If there is nothing to decode: not a video, cut short, no picture in it.
    """
    return PyavSource(Path(path), size=size, fps=fps, chunk_frames=chunk_frames, lead=lead)


class PyavSource:
    """A ``FrameSource`` on FFmpeg's software decoders."""

    decoder = "pyav"

    def __init__(self, path: Path, *, size: FrameSize, fps: Fraction | None, chunk_frames: int, lead: int) -> None:
        self._path = path
        self._container, self._stream = open_video(path)
        try:
            lacking = missing_bytes(path)
            if lacking:
                raise VideoError("open", f"the file is cut short: its own structure says {lacking:,} more bytes follow")
            context = self._stream.codec_context
            self._pictures = self._decode()
            self._first = next(self._pictures)
            rotation = clockwise_rotation(self._first)
            stored = (self._first.height, self._first.width)
            height, width = stored[::-1] if rotation in (90, 270) else stored
            self.info = StreamInfo(
                codec=context.codec.canonical_name,
                pixel_format=self._first.format.name,
                width=width,
                height=height,
                fps=Fraction(self._stream.average_rate or 0),
                rotation=rotation,
            )
            self._size = size.resolve(height, width)
            upside = self._size[::-1] if rotation in (90, 270) else self._size
            self._upside = np.empty((*upside, 3), np.uint8)  # a frame as it is stored, before it is turned
            self._fps = fps
            self._mpeg1_siting = self.info.codec in CENTRED_CHROMA
            self._chunk_frames = chunk_frames
            self._lead = lead
            self._readings: dict[tuple[Any, ...], _Reading] = {}
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[FrameChunk]:
        """Yield chunks until the end; ``VideoError`` if the video is damaged before it."""
        lead, capacity = self._lead, self._lead + self._chunk_frames
        # One buffer for all chunks: it stays in the cache, and leaves the decoder's pictures there too.
        frames = np.empty((capacity, *self._size, 3), np.uint8)
        slots = list(frames)
        times: list[float] = []
        start = held = count = 0
        for picture, time in self._picked():
            if picture is None:  # shown once more; with no lead, the buffer's last is still the one before its first
                slots[count][:] = slots[count - 1]
            else:
                self._convert(picture, slots[count])
            times.append(time)
            count += 1
            if count == capacity:
                yield FrameChunk(frames=frames, start=start, times=np.array(times), lead=held)
                start += len(times)
                times.clear()
                frames[:lead] = frames[capacity - lead :]
                held = count = lead
        if times:
            yield FrameChunk(frames=frames[:count], start=start, times=np.array(times), lead=held)

    def _picked(self) -> Iterator[tuple[Any, float]]:
        """Yield ``(picture, time)``; ``(None, time)`` shows the picture before once more."""
        pictures = chain((self._first,), self._pictures)
        if self._fps is None:  # no need to hold a picture back until the next one's time is known
            repair = TimeRepair(self.info.fps)
            for picture in pictures:
                yield picture, repair(picture.time)
            return
        for picture, times in pick(((picture, picture.time) for picture in pictures), self._fps, self.info.fps):
            for copy, time in enumerate(times):
                yield (None if copy else picture), time

    def _decode(self) -> Iterator[Any]:
        """Yield every picture that FFmpeg's decoder gives, in display order; raise if it leaves some out.

        FFmpeg marks pictures of H.264, MPEG-4 and MPEG-1/2 that it had to conceal damage in, and nothing in HEVC, VP8
        and VP9. Before the first key frame, marks are no sign of damage: the stream begins in the middle.
        """
        num_packets = num_shown = num_pictures = 0
        first_pts: int | None = None
        recovered = False
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    num_packets += 1
                    num_shown += not packet.is_discard
                if packet.is_corrupt:
                    raise VideoError("decode", f"packet {num_packets} is incomplete: the file is damaged")
                for picture in packet.decode():
                    recovered = recovered or picture.key_frame
                    if picture.is_corrupt and recovered:
                        raise VideoError("decode", f"frame {num_pictures} is damaged: FFmpeg had to guess at it")
                    if num_pictures == 0:
                        first_pts = picture.pts
                    num_pictures += 1
                    yield picture
        except av.FFmpegError as error:
            raise VideoError(
                "decode", f"damaged after {num_pictures} frames, at packet {num_packets}: {words(error)}"
            ) from error
        if num_pictures == 0:
            raise VideoError("decode", f"no frame could be decoded from {num_packets} packets")
        if num_pictures < num_shown:
            missing = missing_frames(self._path, num_frames=num_pictures, first_pts=first_pts)
            if missing:
                raise VideoError(
                    "decode", f"damaged: {num_pictures} frames could be decoded of {num_pictures + missing} in it"
                )

    def _convert(self, picture: Any, out: NDArray[np.uint8]) -> None:
        """Convert a picture to an RGB frame, upright."""
        # whatever decides how a picture is to be read; a stream may change any of it on the way
        kind = (picture.format.name, picture.height, picture.width, picture.colorspace, picture.color_range)
        reading = self._readings.get(kind)
        if reading is None:
            reading = self._readings[kind] = self._reading(picture)
        if not reading.planar:
            picture = to_planar(picture)
        if self.info.rotation:
            reading.convert(*plane_addresses(picture, reading.fmt), self._upside)
            out[:] = np.rot90(self._upside, -self.info.rotation // 90)
        else:
            reading.convert(*plane_addresses(picture, reading.fmt), out)

    def _reading(self, picture: Any) -> _Reading:
        fmt = planar_format(picture.format.name, picture.colorspace, picture.color_range, self._mpeg1_siting)
        planar = fmt is not None
        if fmt is None:
            picture = to_planar(picture)
            fmt = planar_format(picture.format.name, picture.colorspace, picture.color_range, self._mpeg1_siting)
            assert fmt is not None, picture.format.name
        convert = FrameConverter((picture.height, picture.width), self._upside.shape[:2], fmt)
        return _Reading(planar=planar, fmt=fmt, convert=convert)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How pictures of one kind become frames."""

    planar: bool  # as they are, without swscale's help
    fmt: YuvFormat
    convert: FrameConverter
