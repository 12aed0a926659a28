"""Is a file shorter than its own structure says? Decoders often take the cut for a normal end.

Only the outermost structure is read, a few bytes a box: ISO media (MP4, MOV, 3GP), RIFF (AVI) and EBML (Matroska,
WebM). Other containers are not judged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_SEGMENT = 0x18538067  # EBML ids
_EBML_HEADER = 0x1A45DFA3
_ISO_BOXES = frozenset(  # that stand at the top of a file (ISO/IEC 14496-12 and QuickTime)
    b"ftyp styp moov mdat moof mfra sidx ssix free skip wide meta uuid udta pdin prft emsg pnot PICT junk".split()
)


def missing_bytes(path: Path) -> int:
    """Return how many bytes of the file's outermost structure lie past its end; 0 if it is whole or not known."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            end = _iso_end(file, size)
        elif head[:4] == b"RIFF" and head[8:11] == b"AVI":
            declared = int.from_bytes(head[4:8], "little")
            end = 8 + declared if 0 < declared < 0xFFFFFFF0 else 0  # live writers leave zeros or all ones
        elif int.from_bytes(head[:4], "big") == _EBML_HEADER:
            end = _ebml_end(file)
        else:
            end = 0
    return max(0, end - size)


def _iso_end(file: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # "to the end of the file"
            return size
        if length < 8 or header[4:8] not in _ISO_BOXES:
            return size  # rubbish after the last box: FFmpeg ignores it too
        position += length
    return position


def _ebml_end(file: BinaryIO) -> int:
    file.seek(4)
    length = _vint(file)
    if length is None:
        return 0
    file.seek(length, os.SEEK_CUR)
    if int.from_bytes(file.read(4), "big") != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """Read an EBML size; ``None`` for "unknown", as live streams have."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    num_bytes = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - num_bytes)) - 1)]) + file.read(num_bytes - 1), "big")
    return None if value == (1 << (7 * num_bytes)) - 1 else value
