"""Telling from a file's outermost structure that its end is missing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from media import write_clip
from vidprep.pipeline.decode.cut_short import missing_bytes

KINDS = {
    ".mp4": "libx264",
    ".mov": "libx264",
    ".3gp": "mpeg4",
    ".avi": "mpeg4",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
}


@pytest.fixture(scope="module", params=KINDS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / f"clip{request.param}"
    return write_clip(path, codec=KINDS[request.param], size=(96, 128) if request.param == ".3gp" else (48, 64))


def test_a_whole_file_lacks_nothing(clip: Path) -> None:
    assert missing_bytes(clip) == 0


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_cut_file_lacks_what_was_cut(clip: Path, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(clip.read_bytes()[:-cut])
    missing = missing_bytes(path)
    # The last box of an MP4 may be gone as a whole; one container for everything knows its length.
    assert 0 < missing <= cut if clip.suffix in (".mp4", ".mov", ".3gp") else missing == cut


def test_rubbish_at_the_end_is_not_missing(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "longer"
    path.write_bytes(clip.read_bytes() + b"\x00\x01\x02 rubbish")
    assert missing_bytes(path) == 0


def _box(kind: bytes, payload: bytes, *, length: int | None = None, wide: bool = False) -> bytes:
    total = len(payload) + (16 if wide else 8)
    if wide:
        return struct.pack(">I4sQ", 1, kind, length or total) + payload
    return struct.pack(">I4s", total if length is None else length, kind) + payload


EBML = bytes.fromhex("1a45dfa3 83 000000 18538067")


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (b"", 0),
        (b"x" * 5, 0),
        (b"plain text, nothing else" * 9, 0),
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90), 0),
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90, length=200), 102),
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90, wide=True), 0),
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90, wide=True, length=1 << 40), (1 << 40) - 106),
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90, length=0), 0),  # to the end of the file
        (_box(b"ftyp", b"isom") + _box(b"mdat", b"x" * 90, length=3), 0),  # no box at all
        (b"RIFF" + struct.pack("<I", 100) + b"AVI " + b"x" * 96, 0),
        (b"RIFF" + struct.pack("<I", 100) + b"AVI " + b"x" * 90, 6),
        (b"RIFF" + struct.pack("<I", 0) + b"AVI " + b"x" * 90, 0),  # a live recording
        (b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"AVI " + b"x" * 90, 0),
        (b"RIFF" + struct.pack("<I", 1000) + b"WAVE" + b"x" * 90, 0),
        (EBML + b"\x8a" + b"x" * 10, 0),
        (EBML + b"\x8a" + b"x" * 4, 6),
        (EBML + b"\x40\x80" + b"x" * 28, 100),
        (EBML + b"\xff" + b"x" * 4, 0),  # of unknown size
        (EBML + b"\x01" + b"\xff" * 7 + b"x" * 4, 0),
        (EBML, 0),
        (EBML[:5], 0),
    ],
)
def test_structures(data: bytes, missing: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert missing_bytes(path) == missing


def test_real_clips_are_whole(shared_videos: Path) -> None:
    lacking = {path.name: missing_bytes(path) for path in sorted(shared_videos.iterdir())}
    lacking.pop("corrupted.mp4")
    assert set(lacking.values()) == {0}, lacking
