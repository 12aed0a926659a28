"""What a packet's first bytes say about the pictures in it, codec by codec; nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator

LARGEST_PLACEHOLDER = 7  # bytes of XviD's "N-VOP", which stands for a picture that came early
LARGEST_NOT_CODED = 19  # bytes: a smaller MPEG-4 packet may be a placeholder ("N-VOP"), not a picture
H264_IDR = 5  # NAL unit types
HEVC_FIRST_RASL, HEVC_LAST_RASL = 8, 9
HEVC_BLA, HEVC_IDR, HEVC_CRA, HEVC_END = (16, 17, 18), (19, 20), 21, (36, 37)

_PACKED_SIGNATURE = re.compile(rb"DivX\d+(?:b|Build)\d+p")  # user data of MPEG-4 with two pictures in one packet
_MPEG4_PICTURE = b"\x00\x00\x01\xb6"
_MPEG12_PICTURE = b"\x00\x00\x01\x00"
_AV1_SEQUENCE, _AV1_FRAME_HEADER, _AV1_FRAME = 1, 3, 6  # OBU types


def is_mpeg4_packed(data: bytes) -> bool:
    """Whether MPEG-4 headers are signed as DivX's or XviD's with two pictures in a packet."""
    return _PACKED_SIGNATURE.search(data) is not None


def is_xvid(data: bytes) -> bool:
    """Whether MPEG-4 headers are signed by XviD."""
    return b"XviD" in data


def holds_mpeg4_picture_back(data: bytes) -> bool:
    """Whether a second picture starts in an MPEG-4 packet that is shown before the first, so is not a P-frame."""
    second = data.find(_MPEG4_PICTURE, data.find(_MPEG4_PICTURE) + 1) + len(_MPEG4_PICTURE)
    return data.count(_MPEG4_PICTURE) > 1 and second < len(data) and not data[second] & 0x40


def starts_with_mpeg4_intra(data: bytes) -> bool:
    """Whether the first picture of an MPEG-4 packet needs no other (ISO/IEC 14496-2, 6.2.5)."""
    start = data.find(_MPEG4_PICTURE) + len(_MPEG4_PICTURE)
    return start >= len(_MPEG4_PICTURE) and start < len(data) and data[start] >> 6 == 0


def has_mpeg12_picture(data: bytes) -> bool:
    """Whether a picture starts in an MPEG-1 or MPEG-2 packet."""
    return _MPEG12_PICTURE in data


def vpx_frames(data: memoryview, codec: str) -> tuple[bool, bool]:
    """Return whether a VP8 or VP9 packet has a reference-only (or re-shown) picture, and whether it shows one.

    VP8: RFC 6386, section 9.1. VP9: bitstream specification, section 6.2 and annex B (superframes).
    """
    head = data[0]
    if codec == "vp8":
        shown = bool(head & 0x10)
        return not shown, shown
    if data[-1] & 0xE0 == 0xC0:
        size = 2 + ((data[-1] >> 3 & 3) + 1) * ((data[-1] & 7) + 1)
        if len(data) >= size and data[-size] == data[-1]:
            return True, True
    is_profile_3 = head & 0x30 == 0x30
    show_existing, show = (head >> 2 & 1, head & 1) if is_profile_3 else (head >> 3 & 1, head >> 1 & 1)
    return bool(show_existing or not show), bool(show_existing or show)


def shows_av1_frame(data: bytes) -> bool:
    """Whether an AV1 packet (a temporal unit) shows a picture; AV1 bitstream specification, sections 5.3 to 5.9."""
    position = 0
    while position < len(data):
        header = data[position]
        position += 2 if header & 0x04 else 1  # with the extension byte
        size = len(data) - position
        if header & 0x02:
            size, position = _leb128(data, position)
        kind = header >> 3 & 0x0F
        if kind == _AV1_SEQUENCE and size > 0 and data[position] & 0x08:
            return True  # reduced_still_picture_header
        if kind in (_AV1_FRAME_HEADER, _AV1_FRAME) and size > 0:
            show_existing, show = data[position] & 0x80, data[position] & 0x10
            if show_existing or show:
                return True
        position += size
    return False


def nal_units(data: bytes, length_size: int) -> Iterator[int]:
    """Yield where each NAL unit of an H.264 or HEVC packet begins: the index of its header, with a byte after it.

    Parameters
    ----------
    data
        The packet.
    length_size
        Bytes of the length before each unit, as ``nal_length_size`` reads it from the container's header; 0 for
        start codes (Annex B).
    """
    position = 0
    while True:
        if length_size:
            start = position + length_size
            position = start + int.from_bytes(data[position:start], "big")
        else:
            start = position = data.find(b"\x00\x00\x01", position) + 3
            if start < 3:
                return
        if start + 1 >= len(data):
            return
        yield start


def nal_length_size(codec: str, extradata: bytes) -> int:
    """Return the bytes of a NAL unit's length by the avcC or hvcC header; 0 if units begin with start codes."""
    at = 4 if codec == "h264" else 21  # ISO/IEC 14496-15, 5.3.3 and 8.3.3
    return (extradata[at] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > at else 0


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    return value, position
