"""How many frames a full decode of a sound file must give, counted from its packets.

Counting costs a pass over the file, so it is done only if fewer frames came out than packets went in: never for most
sound videos. A count is a lower bound, and none is given where packets do not map to frames for certain:

- codecs that skip pictures by themselves (WMV, VC-1, Theora, FLV, ...): only those of ``_COUNTED`` are counted;
- interlaced video: a packet may hold a frame or one of its two fields;
- streams that change their size on the way: decoders may drop the pictures they had held back;
- HEVC streams that were spliced (BLA pictures, ends of sequence, IDRs that discard what was not shown yet);
- H.264 that does not declare its reordering: FFmpeg learns it as it goes, and drops what then comes too late. Such
  streams are decoded once more with the deepest reordering, and only what is missing then too is damage;
- streams that begin in the middle of a group of pictures, if their packets have no times.

At such a beginning, frames before the first that was decoded do not count: FFmpeg drops what leads up to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from . import packets
from .container import open_video

_INTRA = frozenset({"mjpeg", "ffv1", "prores", "huffyuv", "ffvhuff"})
_COUNTED = _INTRA | {"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "vp8", "vp9", "av1"}


def missing_frames(path: Path, *, num_frames: int, first_pts: int | None) -> int:
    """Return how many frames a decode has certainly lost; 0 if none, or if nobody can tell.

    Parameters
    ----------
    path
        The file, which was decoded to its end without an error.
    num_frames
        How many frames came out.
    first_pts
        The time stamp of the first of them, in the stream's time base; ``None`` if it had none.
    """
    expected = expected_frames(path, first_pts)
    if expected is None or num_frames >= expected:
        return 0
    progressive, decoded = _decode_again(path)
    return expected - max(num_frames, decoded) if progressive and decoded < expected else 0


def expected_frames(path: Path, first_pts: int | None) -> int | None:
    """Return how many frames a decode must give at least, by the packets alone; ``None`` if they do not tell.

    ``first_pts`` is that of ``missing_frames``. Interlaced video and changes of size are not noticed.
    """
    container, stream = open_video(path)
    try:
        count = _Count(stream.codec_context, first_pts)
        if count.possible:
            for packet in container.demux(stream):
                count.add(packet)
        return count.expected if count.possible else None
    finally:
        container.close()


class _Count:
    """Frames that the packets seen so far must give."""

    def __init__(self, context: Any, first_pts: int | None) -> None:
        self.codec = context.codec.canonical_name
        self.possible = self.codec in _COUNTED
        self.expected = 0
        extradata = bytes(context.extradata or b"")
        self._length_size = packets.nal_length_size(self.codec, extradata)
        self._packed = self._xvid = False
        self._read_signature(extradata)
        self._first_pts = first_pts
        self._started = False
        self._held_back: bool | None = None  # MPEG-4: is the picture kept for the next packet coded?
        self._open = False  # it begins in the middle of a group of pictures, or with pictures that need one before
        self._num_random_access = 0

    def add(self, packet: Any) -> None:
        """Take the next packet, in decoding order."""
        if packet.size == 0:  # the flush at the end, and the empty packets by which AVI repeats a frame
            return
        data = bytes(packet)
        if not self._started:
            self._started = True
            self._read_signature(data)
            self._open = not self._starts_closed(packet, data)
            # MPEG-4 stands in AVI, where times are guessed; of other codecs nothing can be decoded before a key frame
            can_be_open = self.codec in ("h264", "hevc", "mpeg1video", "mpeg2video") and self._first_pts is not None
            self.possible &= can_be_open or not self._open
        shown = self._shows_frame(data)
        if packet.is_discard or not shown:
            return
        if self._open:
            if packet.pts is None:
                self.possible = False
                return
            assert self._first_pts is not None or not self.possible
            if self._first_pts is not None and packet.pts < self._first_pts:
                return
        self.expected += 1

    def _read_signature(self, headers: bytes) -> None:
        if self.codec == "mpeg4":
            self._packed |= packets.is_mpeg4_packed(headers)
            self._xvid |= packets.is_xvid(headers)

    def _starts_closed(self, packet: Any, data: bytes) -> bool:
        """Whether every picture from this packet on can be decoded."""
        if self.codec == "h264":
            return any(data[at] & 0x1F == packets.H264_IDR for at in packets.nal_units(data, self._length_size))
        if self.codec == "hevc":
            return any(data[at] >> 1 & 0x3F in packets.HEVC_IDR for at in packets.nal_units(data, self._length_size))
        if self.codec in ("mpeg1video", "mpeg2video"):
            return False  # B-frames after the first I-frame may be shown before it
        if self.codec == "mpeg4":
            return packets.starts_with_mpeg4_intra(data)
        return self.codec in _INTRA or bool(packet.is_keyframe)

    def _shows_frame(self, data: bytes) -> bool:
        if self.codec == "hevc":
            return self._shows_hevc(data)
        if self.codec == "mpeg4":
            return self._shows_mpeg4(data)
        if self.codec in ("mpeg1video", "mpeg2video"):
            return packets.has_mpeg12_picture(data)
        if self.codec in ("vp8", "vp9"):
            return packets.vpx_frames(memoryview(data), self.codec)[1]
        return self.codec != "av1" or packets.shows_av1_frame(data)

    def _shows_hevc(self, data: bytes) -> bool:
        """Pictures that lead up to the first random access point (RASL) are not shown (ITU-T H.265, 8.1.3)."""
        for at in packets.nal_units(data, self._length_size):
            kind = data[at] >> 1 & 0x3F
            if kind in packets.HEVC_END:
                self.possible = False
            elif kind < 32:  # a picture's first slice
                if packets.HEVC_BLA[0] <= kind <= packets.HEVC_CRA:
                    self._num_random_access += 1
                    discards = at + 2 < len(data) and kind != packets.HEVC_CRA and data[at + 2] & 0x40
                    if self._num_random_access > 1 and (kind in packets.HEVC_BLA or discards):
                        self.possible = False
                leads = packets.HEVC_FIRST_RASL <= kind <= packets.HEVC_LAST_RASL
                return not (leads and self._num_random_access <= 1)
        return False

    def _shows_mpeg4(self, data: bytes) -> bool:
        """Follow FFmpeg through packed B-frames: it decodes one picture a packet, and holds the second back.

        Until XviD's placeholder comes, each next packet gives the picture held back, and is held back itself.
        """
        coded = len(data) > packets.LARGEST_NOT_CODED
        held_back = self._held_back
        if held_back is None:
            self._held_back = True if self._packed and packets.holds_mpeg4_picture_back(data) else None
            return coded
        self._held_back = coded if self._xvid and len(data) > packets.LARGEST_PLACEHOLDER else None
        return held_back


def _decode_again(path: Path) -> tuple[bool, int]:
    """Return whether all pictures are progressive and of one size, and how many there are with deep reordering."""
    container, stream = open_video(path)
    try:
        stream.codec_context.options = {"strict": "1"}  # for FFmpeg's H.264: hold 16 pictures back if none says less
        num_frames = 0
        sizes = set()
        for frame in container.decode(stream):
            if frame.interlaced_frame:
                return False, 0
            sizes.add((frame.width, frame.height))
            num_frames += 1
        return len(sizes) == 1, num_frames
    except av.FFmpegError:  # strictness found what a plain decode forgave: nobody can tell
        return False, 0
    finally:
        container.close()
