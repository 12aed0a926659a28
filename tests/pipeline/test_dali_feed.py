"""The Matroska files that DALI is fed decode to the very pictures of the original, whatever it was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from media import write_clip
from vidprep.pipeline.decode.dali_feed import parts
from vidprep.pipeline.decode.demux import scan
from vidprep.pipeline.errors import VideoError


def pictures(source: Any) -> tuple[list[np.ndarray], list[int]]:
    with av.open(source) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray() for frame in frames], [frame.pts for frame in frames]


CLIPS = [
    ("a.mp4", {"codec": "libx264", "b_frames": 3}),
    ("a.mov", {"codec": "libx264", "b_frames": 2, "times": [0, 0.1, 0.15, 0.4, 0.9, 1.0], "num_frames": 6}),
    ("a.ts", {"codec": "libx264", "b_frames": 2}),
    ("a.mp4", {"codec": "libx265", "b_frames": 2}),
    ("a.avi", {"codec": "mpeg4", "b_frames": 2}),
    ("a.mp4", {"codec": "mpeg4", "b_frames": 1}),
    ("a.webm", {"codec": "libvpx"}),
    ("a.webm", {"codec": "libvpx-vp9"}),
    ("a.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ("a.mp4", {"codec": "libx264", "num_frames": 1}),
]


@pytest.mark.parametrize(("name", "clip"), CLIPS)
@pytest.mark.parametrize("part_bytes", [1, 1 << 20])
def test_parts_decode_to_the_same_pictures(tmp_path: Path, name: str, clip: dict, part_bytes: int) -> None:
    path = write_clip(tmp_path / name, **{"num_frames": 30, "gop": 8, **clip})
    expected, _ = pictures(str(path))
    found: list[np.ndarray] = []
    for part in parts(path, scan(path), part_bytes=part_bytes):
        decoded, times = pictures(io.BytesIO(part.data.tobytes()))
        assert len(decoded) == part.num_frames
        assert times[0] >= 0
        assert np.unique(np.diff(times)).tolist() in ([], [10])  # an even rate, whatever the original's
        found.extend(decoded)
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_cuts_at_key_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=30, gop=8, b_frames=2)
    assert [part.num_frames for part in parts(path, scan(path), part_bytes=1)] == [8, 8, 8, 6]
    assert [part.num_frames for part in parts(path, scan(path))] == [30]


def test_no_cut_where_frames_are_shown_across_a_key_frame(tmp_path: Path) -> None:
    open_gop = {"x265-params": "log-level=error:scenecut=0:b-adapt=0:open-gop=1"}
    path = write_clip(tmp_path / "a.mp4", codec="libx265", num_frames=30, gop=8, b_frames=3, options=open_gop)
    found = scan(path)
    assert len(found.keyframes) > 2
    assert len(list(parts(path, found, part_bytes=1))) == 1


def test_no_cut_at_a_recovery_point(tmp_path: Path) -> None:
    refresh = {"x264-params": "intra-refresh=1"}
    path = write_clip(tmp_path / "a.mkv", num_frames=40, gop=8, options=refresh)
    assert len(list(parts(path, scan(path), part_bytes=1))) == 1


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=12)
    found = scan(path)
    write_clip(path, num_frames=20)
    with pytest.raises(VideoError, match="more packets"):
        list(parts(path, found))
    write_clip(path, num_frames=5)
    with pytest.raises(VideoError, match="fewer packets"):
        list(parts(path, found))
