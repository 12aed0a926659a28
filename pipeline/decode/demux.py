"""What a file says when it is only taken apart: packets, their times, and one decoded picture for the colours."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ...kernels.yuv_tables import YuvFormat
from ..errors import VideoError
from .container import CENTRED_CHROMA, clockwise_rotation, open_video, words
from .cut_short import missing_bytes
from .frames import StreamInfo
from .packets import LARGEST_NOT_CODED, is_mpeg4_packed, vpx_frames
from .pictures import planar_format
from .sampling import TimeRepair

_UNEVEN = 0.01  # of a frame period
_ROUNDED = 0.0021  # seconds between two periods of an even rate whose times are rounded to milliseconds, as in Matroska


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamScan:
    """A video stream after one pass over its packets.

    Parameters
    ----------
    info
        As a decoder would describe it.
    format
        How to read its pictures (matrix, range, depth, chroma); ``None`` if they are not planar.
    stored
        ``(height, width)`` of a picture before rotation.
    coded
        ``(height, width)`` in the bitstream, before cropping.
    container
        FFmpeg's name of the demuxer.
    times
        ``(N,)`` float64 presentation times in seconds, increasing, of the frames a decoder must give. Missing and
        impossible ones are repaired (``TimeRepair``).
    ranks
        ``(N,)`` int64: the display position of each of those frames, in decoding order.
    keyframes
        ``(K,)`` int64 display positions of packets marked as keyframes.
    variable_rate
        Frame periods differ by more than a hundredth and 2 ms.
    ordered
        Every packet had its own time, so ``ranks`` is certain.
    trimmed
        An edit list hides frames that are coded.
    hidden_frames
        VP8, VP9: some coded pictures are for reference only, or shown without being coded again.
    packed_b_frames
        MPEG-4: two pictures in one packet, or placeholders for pictures.
    interlaced
        The first picture is, or the container says so.
    parameters_in_header
        H.264, HEVC: the decoder's parameters stand in the container's header, and not (again) between the pictures.
    parameters_change
        Packets bring new decoder parameters (another size, for instance) on the way.
    incomplete
        Packets are marked as damaged, or the file ends before its structure does.
    """

    info: StreamInfo
    format: YuvFormat | None
    stored: tuple[int, int]
    coded: tuple[int, int]
    container: str
    times: NDArray[np.float64]
    ranks: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    variable_rate: bool
    ordered: bool
    trimmed: bool
    hidden_frames: bool
    packed_b_frames: bool
    interlaced: bool
    parameters_in_header: bool
    parameters_change: bool
    incomplete: bool

    def __post_init__(self) -> None:
        assert self.times.shape == self.ranks.shape, (self.times.shape, self.ranks.shape)

    @property
    def num_frames(self) -> int:
        """How many frames a decoder must give."""
        return len(self.times)

    @property
    def reorder_depth(self) -> int:
        """How many frames a decoder may have to hold back: the furthest that a frame is coded after its turn."""
        return int(np.max(np.arange(len(self.ranks)) - self.ranks, initial=0))


def scan(path: str | Path) -> StreamScan:
    """Read every packet of a video's stream, decode its first picture, and describe what is there.

    Memory is some 30 bytes a frame. Nothing that the container's header says about counts is used.

    Raises
    ------
    VideoError
        ``open``: not a video. ``decode``: no picture in it, or the packets cannot be read to the end.
    """
    path = Path(path)
    container, stream = open_video(path)
    try:
        context = stream.codec_context
        packets = _Packets(context.codec.canonical_name, bytes(context.extradata or b""))
        first: Any = None
        try:
            for packet in container.demux(stream):
                packets.add(packet)
                if first is None:
                    first = next(iter(packet.decode()), None)
        except av.FFmpegError as error:
            raise VideoError("decode", f"damaged at packet {packets.count}: {words(error)}") from error
        if first is None:
            raise VideoError("decode", f"no frame could be decoded from {packets.count} packets")
        rate = Fraction(stream.average_rate or 0)
        ranks, times = packets.display_order(float(stream.time_base or 0), rate)
        rotation = clockwise_rotation(first)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        return StreamScan(
            info=StreamInfo(
                codec=packets.codec,
                pixel_format=first.format.name,
                width=width,
                height=height,
                fps=rate,
                rotation=rotation,
            ),
            format=planar_format(
                first.format.name, first.colorspace, first.color_range, packets.codec in CENTRED_CHROMA
            ),
            stored=(first.height, first.width),
            coded=(context.coded_height, context.coded_width),
            container=container.format.name,
            times=times,
            ranks=ranks,
            keyframes=np.sort(ranks[np.array(packets.keys, bool)]),
            variable_rate=_is_uneven(times),
            ordered=None not in packets.pts and len(set(packets.pts)) == len(packets.pts),
            trimmed=packets.discarded > 0,
            hidden_frames=packets.hidden,
            packed_b_frames=packets.packed,
            interlaced=bool(first.interlaced_frame) or context.field_order not in (0, 1),
            parameters_in_header=bytes(context.extradata or b"")[:1] == b"\x01",  # avcC, hvcC; Annex B begins with 0
            parameters_change=packets.parameters_change,
            incomplete=packets.corrupt or missing_bytes(path) > 0,
        )
    finally:
        container.close()


class _Packets:
    """What is remembered of the packets read so far."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.codec = codec
        self.pts: list[int | None] = []
        self.keys: list[bool] = []
        self.count = 0  # with data
        self.discarded = 0
        self.hidden = self.corrupt = self.parameters_change = False
        self.packed = self._is_mpeg4_packed(extradata)

    def add(self, packet: Any) -> None:
        if packet.size == 0:  # the flush at the end, and the empty packets by which AVI repeats a frame
            return
        self.count += 1
        self.corrupt |= packet.is_corrupt
        self.parameters_change |= packet.has_sidedata("new_extradata") and self.count > 1
        if packet.is_discard:
            self.discarded += 1
            return
        if self.codec in ("vp8", "vp9"):
            hides, shown = vpx_frames(memoryview(packet), self.codec)
            self.hidden |= hides
            if not shown:
                return
        elif self.codec == "mpeg4":
            if self.count == 1:
                self.packed |= self._is_mpeg4_packed(bytes(packet))
            self.packed |= packet.size <= LARGEST_NOT_CODED
        self.pts.append(packet.pts)
        self.keys.append(packet.is_keyframe)

    def display_order(self, time_base: float, rate: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the display position of each packet, and the sorted, repaired times in seconds."""
        if None in self.pts:  # nothing to sort by: decoding order, at the average rate
            ranks = np.arange(len(self.pts))
            ticks: list[int | None] = [None] * len(self.pts)
        else:
            order = np.argsort(np.array(self.pts, np.int64), kind="stable")
            ranks = np.empty(len(order), np.int64)
            ranks[order] = np.arange(len(order))
            ticks = [self.pts[i] for i in order]
        repair = TimeRepair(rate)
        times = [repair(None if tick is None else tick * time_base) for tick in ticks]
        return ranks, np.array(times, np.float64)

    def _is_mpeg4_packed(self, data: bytes) -> bool:
        return self.codec == "mpeg4" and is_mpeg4_packed(data)


def _is_uneven(times: NDArray[np.float64]) -> bool:
    periods = np.diff(times)
    if len(periods) == 0:
        return False
    return float(np.ptp(periods)) > max(_UNEVEN * float(periods.mean()), _ROUNDED)
