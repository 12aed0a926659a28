"""Decoding on the CPU: a broken video is an error, not a shorter video, and a sound one is never refused."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest

from media import write_audio, write_clip
from pyav_frames import frames_of
from vidprep.pipeline.errors import VideoError


def _error(path: Path) -> VideoError:
    with pytest.raises(VideoError) as raised:
        frames_of(path, size=(24, 32))
    assert raised.value.reason
    assert "\n" not in raised.value.reason
    assert str(path) not in raised.value.reason
    return raised.value


def test_no_video_at_all(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.touch()
    assert (_error(path).stage, _error(path).reason) == ("open", "the file is empty")
    path.write_text("a text file that was renamed\n" * 100)
    assert _error(path).stage == "open"
    assert "not a readable video" in _error(path).reason
    assert _error(tmp_path / "absent.mp4").stage == "open"
    (tmp_path / "folder.mp4").mkdir()
    assert _error(tmp_path / "folder.mp4").stage == "open"
    sound = _error(write_audio(tmp_path / "sound.mp4"))
    assert (sound.stage, sound.reason) == ("open", "no video stream in it, only audio")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mkv", ".webm"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_truncated(suffix: str, kept: float, tmp_path: Path) -> None:
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
    path = write_clip(tmp_path / f"cut{suffix}", num_frames=30, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert _error(path).stage == "open"


def test_truncated_with_its_index_in_front(small_clip: Path, tmp_path: Path) -> None:
    """FFmpeg alone takes this cut for the end of the video."""
    path = tmp_path / "web.mp4"
    with av.open(str(small_clip)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    whole = path.read_bytes()
    assert len(frames_of(path)) == 30
    path.write_bytes(whole[: len(whole) * 7 // 10])
    error = _error(path)
    assert error.stage == "open"
    assert "cut short" in error.reason


def test_a_corrupt_packet_is_an_error_not_a_shorter_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "damaged.mkv", num_frames=30, codec="ffv1", pix_fmt="yuv420p")
    data = bytearray(path.read_bytes())
    random.seed(1)
    middle = len(data) // 2
    data[middle : middle + 40] = random.randbytes(40)
    path.write_bytes(data)
    error = _error(path)
    assert error.stage == "decode"
    assert "damaged after" in error.reason


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".ts", "libx264"), (".avi", "mpeg4"), (".mpg", "mpeg2video")]
)
def test_a_concealed_picture_is_an_error(suffix: str, codec: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"whole{suffix}", num_frames=20, size=(96, 128), codec=codec)
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0) if packet.size][15]
    data, piece = path.read_bytes(), packet[len(packet) // 3 :][:60]
    assert data.count(piece) == 1
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(data.replace(piece, random.Random(2).randbytes(len(piece))))
    with av.open(str(damaged)) as container:  # FFmpeg alone says nothing
        assert sum(1 for _ in container.decode(video=0)) == 20
    error = _error(damaged)
    assert error.stage == "decode"
    assert "had to guess" in error.reason


def test_flipped_bits_do_not_shorten_a_real_clip(shared_videos: Path, tmp_path: Path) -> None:
    """Whatever the damage: an error, or as many frames as there are."""
    data = (shared_videos / "mpeg4_320x240.avi").read_bytes()
    path = tmp_path / "flipped.avi"
    errors = 0
    for seed in range(8):
        rng, flipped = random.Random(seed), bytearray(data)
        for _ in range(4):
            flipped[rng.randrange(len(data) // 10, len(data) * 9 // 10)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            assert len(frames_of(path, size=(24, 32))) == 164
        except VideoError:
            errors += 1
    assert errors > 0


def test_a_real_damaged_clip_fails_with_a_sentence(shared_videos: Path) -> None:
    error = _error(shared_videos / "corrupted.mp4")
    assert error.stage in ("open", "decode")
