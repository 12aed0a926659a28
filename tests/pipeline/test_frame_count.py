"""Frames counted from packets: what FFmpeg leaves out of a damaged video is noticed, and no sound one is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from h264_headers import without_declared_reordering
from media import VOP, write_clip, write_packed_avi
from pyav_frames import frames_of
from vidprep.pipeline.decode.frame_count import expected_frames, missing_frames
from vidprep.pipeline.errors import VideoError

OPEN_GOP_264 = {"x264-params": "open-gop=1:keyint=12:bframes=2:b-adapt=0"}
OPEN_GOP_265 = {"x265-params": "log-level=error:open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}
NOT_CODED = VOP + b"\x52\x4f"  # a P-VOP at 25 fps: time 4, marker, "not coded", stuffing
HEVC_RESERVED = 10  # a NAL unit type that decoders ignore
COUNTED: dict[str, dict[str, Any]] = {
    "h264.mp4": {"b_frames": 3},
    "h264.ts": {"b_frames": 2},
    "h264.h264": {"b_frames": 2},
    "open.ts": {"b_frames": 2, "options": OPEN_GOP_264},
    "hevc.mp4": {"codec": "libx265", "b_frames": 2},
    "hevc.hevc": {"codec": "libx265", "b_frames": 2},
    "open.mkv": {"codec": "libx265", "options": OPEN_GOP_265},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 2},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "mpeg1.mpg": {"codec": "mpeg1video", "b_frames": 2},
    "vp8.webm": {"codec": "libvpx"},
    "vp8-hidden.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9-hidden.webm": {"codec": "libvpx-vp9", "options": {"deadline": "good", "lag-in-frames": "16"}},
    "av1.mkv": {"codec": "libsvtav1"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "ffv1.mkv": {"codec": "ffv1"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
}


def decoded(path: Path) -> tuple[int, int | None]:
    """How many frames FFmpeg gives, and the time stamp of the first."""
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    return len(stamps), stamps[0]


def copied(source: Path, name: str, *, skip: int = 0, change: Callable[[int, bytes], bytes] | None = None) -> Path:
    """A copy without the first packets, each of the others being ``change(index, packet)``."""
    path = source.with_name(name)
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for index, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            if index < skip:
                continue
            copy = av.Packet(change(index, bytes(packet))) if change else packet
            if copy is not packet:
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe = packet.is_keyframe
            copy.stream = stream
            new.mux(copy)
    return path


@pytest.mark.parametrize("name", COUNTED)
def test_the_count_is_that_of_a_full_decode(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, num_frames=30, **COUNTED[name])
    num_frames, first_pts = decoded(path)
    assert num_frames == 30
    assert expected_frames(path, first_pts) == 30
    assert missing_frames(path, num_frames=29, first_pts=first_pts) == 0  # a second decode gives them all


@pytest.mark.parametrize("num_frames", [12, 13, 14])
@pytest.mark.parametrize("b_frames", [1, 2, 3])
def test_packed_b_frames_count_once(num_frames: int, b_frames: int, tmp_path: Path) -> None:
    path = write_packed_avi(tmp_path / "packed.avi", num_frames=num_frames, b_frames=b_frames)
    assert expected_frames(path, None) == decoded(path)[0] == num_frames


def test_pictures_that_are_not_coded_do_not_count(tmp_path: Path) -> None:
    plain = write_clip(tmp_path / "plain.avi", codec="mpeg4")
    path = copied(plain, "dropped.avi", change=lambda index, data: NOT_CODED if index in (4, 5) else data)
    assert expected_frames(path, None) == decoded(path)[0] == len(frames_of(path)) == 10


@pytest.mark.parametrize(
    ("name", "options", "skip"),
    [
        ("a.ts", {"b_frames": 2}, 5),
        ("a.h264", {"b_frames": 2}, 5),
        ("a.mkv", {"b_frames": 2}, 5),
        ("a.ts", {"b_frames": 2, "options": OPEN_GOP_264}, 10),
        ("a.ts", {"b_frames": 2, "options": OPEN_GOP_264}, 5),
        ("a.h264", {"b_frames": 2, "options": OPEN_GOP_264}, 10),
        ("a.mkv", {"codec": "libx265", "options": OPEN_GOP_265}, 9),
        ("a.mkv", {"codec": "libx265", "options": OPEN_GOP_265}, 14),
        ("a.ts", {"codec": "libx265", "options": OPEN_GOP_265}, 9),
        ("a.mp4", {"codec": "libx265", "options": OPEN_GOP_265}, 9),
        ("a.hevc", {"codec": "libx265", "options": OPEN_GOP_265}, 9),
        ("a.mpg", {"codec": "mpeg2video", "b_frames": 2}, 5),
        ("a.mpg", {"codec": "mpeg2video", "b_frames": 2}, 10),
        ("a.avi", {"codec": "mpeg4", "b_frames": 2}, 5),
    ],
)
def test_a_stream_may_begin_in_the_middle(name: str, options: dict[str, Any], skip: int, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / f"whole{Path(name).suffix}", num_frames=40, **options)
    path = copied(whole, name, skip=skip)
    num_frames, first_pts = decoded(path)
    assert num_frames < 40 - skip  # FFmpeg drops what it cannot decode
    assert len(frames_of(path, size=(24, 32))) == num_frames
    expected = expected_frames(path, first_pts)
    timed = Path(name).suffix in (".ts", ".mkv", ".mp4", ".mpg")
    assert expected == (num_frames if timed else None)


def test_h264_that_ffmpeg_reorders_too_late_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "both.h264"
    clips = [write_clip(tmp_path / f"{depth}.h264", num_frames=60, gop=60, b_frames=depth) for depth in (0, 3)]
    path.write_bytes(b"".join(without_declared_reordering(clip.read_bytes()) for clip in clips))
    num_frames, first_pts = decoded(path)
    assert (num_frames, expected_frames(path, first_pts)) == (119, 120)  # FFmpeg drops one when it learns of the order
    assert len(frames_of(path)) == 119


def test_mpeg4_pictures_left_out(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", codec="mpeg4")
    path = copied(whole, "damaged.avi", change=lambda i, data: NOT_CODED + bytes(30) if i in (4, 7) else data)
    assert decoded(path)[0] == 10  # FFmpeg alone says nothing
    with pytest.raises(VideoError, match="10 frames could be decoded of 12") as raised:
        frames_of(path, size=(24, 32))
    assert raised.value.stage == "decode"


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_hevc_pictures_left_out(suffix: str, tmp_path: Path) -> None:
    def spoil(index: int, data: bytes) -> bytes:
        if index != 11:
            return data
        at = 4 if suffix == ".mp4" else data.rindex(b"\x00\x00\x01") + 3
        return data[:at] + bytes([HEVC_RESERVED << 1]) + data[at + 1 :]

    whole = write_clip(tmp_path / f"whole{suffix}", codec="libx265")
    path = copied(whole, f"damaged{suffix}", change=spoil)
    assert decoded(path)[0] == 11
    with pytest.raises(VideoError, match="11 frames could be decoded of 12"):
        frames_of(path, size=(24, 32))


def test_what_does_not_count_for_certain(tmp_path: Path) -> None:
    assert expected_frames(write_clip(tmp_path / "a.wmv", codec="wmv2"), 0) is None
    interlaced = write_clip(tmp_path / "a.mp4", options={"x264-params": "interlaced=1"})
    assert missing_frames(interlaced, num_frames=6, first_pts=0) == 0
    assert len(frames_of(interlaced)) == 12


def test_real_clips_are_counted(shared_videos: Path) -> None:
    for path in sorted(shared_videos.iterdir()):
        if path.name != "corrupted.mp4":
            num_frames, first_pts = decoded(path)
            assert expected_frames(path, first_pts) == num_frames, path.name
