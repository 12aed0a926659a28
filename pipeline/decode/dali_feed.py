"""A video's packets, put into small Matroska files in memory that DALI reads without a doubt.

DALI's demuxer would read the original too, but then edit lists, missing or negative times, wrong frame counts and a
variable rate become its problem, and long videos have to be in memory as a whole. Here each packet gets the time of its
display position at an even rate. A file holds all of a video of up to 32 MiB; longer ones are cut at key frames that
nothing before or after is displayed across, so that each part decodes alone.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import VideoError
from .container import open_video, words
from .demux import StreamScan

PART_BYTES = 32 << 20  # a part ends at the first fit key frame after this
_LARGEST_PART = 512 << 20  # without a fit key frame
_TICK = 10  # milliseconds between frames; Matroska counts milliseconds, and no decoder minds how fast it is
_MILLISECOND = Fraction(1, 1000)
_H264_IDR, _HEVC_FIRST_IRAP, _HEVC_LAST_IRAP = 5, 16, 21  # NAL unit types


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Consecutive frames that decode alone.

    Parameters
    ----------
    data
        ``(bytes,)`` uint8: a Matroska file.
    num_frames
        How many frames it holds; frame ``i`` is the ``i``-th in display order.
    """

    data: NDArray[np.uint8]
    num_frames: int


def parts(path: Path, scan: StreamScan, *, part_bytes: int = PART_BYTES) -> Generator[Part, None, None]:
    """Yield a video's frames in one or more parts; one is in memory at a time.

    Parameters
    ----------
    path, scan
        The video, and what ``demux.scan`` found: each packet with data is one frame.
    part_bytes
        A part is closed at the first fit key frame after as many bytes of packets.

    Raises
    ------
    VideoError
        ``decode``: the file is no longer what the scan saw, or has no key frame to cut at in 512 MiB.
    """
    container, stream = open_video(path)
    fit = _fit_for_cut(scan.ranks)
    try:
        writer = _Writer(stream, scan.ranks)
        index = 0
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if index == len(scan.ranks):
                raise VideoError("decode", "the file changed while it was read: it has more packets")
            if writer.size >= part_bytes and fit[index] and _starts_afresh(packet, scan.info.codec):
                yield writer.close()
                writer = _Writer(stream, scan.ranks)
            if writer.size > _LARGEST_PART:
                raise VideoError("decode", f"no key frame to cut at in {_LARGEST_PART >> 20} MiB of packets")
            writer.add(packet, index)
            index += 1
        if index != len(scan.ranks):
            raise VideoError("decode", "the file changed while it was read: it has fewer packets")
        yield writer.close()
    except av.FFmpegError as error:
        raise VideoError("decode", f"its packets cannot be rewritten: {words(error)}") from error
    finally:
        container.close()


class _Writer:
    """One Matroska file being written to memory."""

    def __init__(self, stream: Any, ranks: NDArray[np.int64]) -> None:
        self._buffer = io.BytesIO()
        self._file = av.open(self._buffer, "w", format="matroska")
        self._stream = self._file.add_stream_from_template(stream, opaque=True)
        self._ranks = ranks
        # so much later are frames shown than packets are counted, lest one is shown before it is decoded
        self._delay = int(np.max(np.arange(len(ranks)) - ranks, initial=0))
        self._first = 0
        self._count = 0
        self.size = 0

    def add(self, packet: Any, index: int) -> None:
        if self._count == 0:
            self._first = index
        self.size += packet.size
        packet.stream = self._stream
        packet.time_base = self._stream.time_base = _MILLISECOND
        packet.dts = (index - self._first) * _TICK
        packet.pts = (int(self._ranks[index]) - self._first + self._delay) * _TICK  # never before dts
        packet.duration = _TICK
        self._file.mux_one(packet)
        self._count += 1

    def close(self) -> Part:
        self._file.close()
        data = np.frombuffer(self._buffer.getbuffer(), np.uint8)
        return Part(data=data, num_frames=self._count)


def _fit_for_cut(ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where all packets before are displayed before, and all after are displayed after."""
    places = np.arange(len(ranks))
    before = np.maximum.accumulate(np.concatenate(([-1], ranks[:-1])))
    fit: NDArray[np.bool_] = (before == places - 1) & (ranks == places)
    return fit


def _starts_afresh(packet: Any, codec: str) -> bool:
    """Whether a decoder can begin at this packet: H.264 also marks recovery points, which need pictures before."""
    if not packet.is_keyframe:
        return False
    if codec not in ("h264", "hevc"):
        return True
    data = memoryview(packet)
    position = 0
    while position + 5 <= len(data):  # length-prefixed NAL units; a prefix of 4 bytes is what is found in practice
        kind = data[position + 4] & 0x1F if codec == "h264" else data[position + 4] >> 1 & 0x3F
        if kind == _H264_IDR if codec == "h264" else _HEVC_FIRST_IRAP <= kind <= _HEVC_LAST_IRAP:
            return True
        position += 4 + int.from_bytes(data[position : position + 4], "big")
    return False
