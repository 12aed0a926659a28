"""Decoding on the CPU: in the stream's true colours, and upright."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from media import write_clip
from pyav_frames import CLOSE, difference, frames_of, native_size
from reference_decoder import decode, filtered, to_rgb
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.decode.pyav import open_pyav

PATCHES = np.array(
    [
        (200, 30, 40),
        (30, 180, 50),
        (40, 50, 210),
        (220, 210, 40),
        (40, 200, 210),
        (128, 128, 128),
        (235, 235, 235),
        (12, 12, 12),
    ],
    np.uint8,
)
UPRIGHT = np.zeros((1, 48, 64, 3), np.uint8)
UPRIGHT[:, :16, :24] = (255, 0, 0)  # a red corner at the top left, a white bar along the bottom
UPRIGHT[:, 40:] = 255


@pytest.mark.parametrize(
    ("matrix", "full_range", "wrong"),
    [("bt601", False, "bt709"), ("bt709", False, "bt601"), ("bt601", True, "bt709"), ("bt709", True, "bt601")],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_colours_come_back(matrix: str, full_range: bool, wrong: str, pix_fmt: str, tmp_path: Path) -> None:
    picture = np.repeat(np.repeat(PATCHES.reshape(1, 2, 4, 3), 32, axis=1), 32, axis=2)
    path = write_clip(
        tmp_path / "patches.mp4", picture, pix_fmt=pix_fmt, matrix=matrix, full_range=full_range, options={"crf": "4"}
    )
    inner = np.s_[:, 16::32, 16::32]
    assert np.abs(frames_of(path)[inner].astype(int) - picture[inner]).max() <= 3
    # The patches tell matrices and ranges apart.
    misread = decode(path, src_colorspace={"bt601": "ITU601", "bt709": "ITU709"}[wrong])
    assert np.abs(misread[inner].astype(int) - picture[inner]).max() > 10


def test_a_stream_that_names_no_matrix_is_bt601(tmp_path: Path) -> None:
    picture = np.full((1, 64, 64, 3), (200, 30, 40), np.uint8)
    frame = frames_of(write_clip(tmp_path / "plain.mp4", picture, options={"crf": "4"}))
    assert np.abs(frame[0, 32, 32].astype(int) - (200, 30, 40)).max() <= 3


def test_limited_grey_that_says_so_is_stretched(tmp_path: Path) -> None:
    picture = np.full((1, 32, 32, 3), 255, np.uint8)
    path = write_clip(tmp_path / "grey.mkv", picture, codec="ffv1", pix_fmt="gray", full_range=False)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray()[0, 0]
    assert frames_of(path)[0, 16, 16, 0] == min(255, round((float(stored) - 16) * 255 / 219))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_makes_the_picture_upright(rotation: int, tmp_path: Path) -> None:
    lying = np.ascontiguousarray(np.rot90(UPRIGHT, rotation // 90, axes=(1, 2)))  # counter-clockwise
    path = write_clip(tmp_path / "phone.mp4", lying, rotation=rotation, options={"crf": "4"})
    assert native_size(path) == (48, 64)
    assert difference(frames_of(path), UPRIGHT) < 4
    assert difference(frames_of(path, size=(24, 32)), UPRIGHT[:, ::2, ::2]) < 8


@pytest.mark.parametrize(
    ("rotation", "filters"),
    [
        (90, [("transpose", "clock")]),
        (180, [("hflip", ""), ("vflip", "")]),
        (270, [("transpose", "cclock")]),
    ],
)
def test_rotation_is_that_of_ffmpeg(rotation: int, filters: list[tuple[str, str]], tmp_path: Path) -> None:
    """The filters are those that ffmpeg puts in by itself, by the angle that it reads from the display matrix."""
    path = write_clip(tmp_path / "phone.mov", rotation=rotation, pix_fmt="yuv444p")
    with av.open(str(path)) as container:
        assert -next(container.decode(video=0)).rotation % 360 == rotation
    assert difference(frames_of(path), filtered(path, *filters)) < CLOSE


def test_rotation_of_a_short_side_keeps_the_displayed_shape(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", rotation=90)  # 64x48 stored, 48x64 shown
    source = open_pyav(path, size=FrameSize(short_side=24))
    assert next(iter(source)).frames.shape[1:3] == (32, 24)
    assert (source.info.width, source.info.height, source.info.rotation) == (48, 64, 90)
    source.close()


def test_a_real_rotated_clip_is_upright(shared_videos: Path) -> None:
    path = shared_videos / "rotated_90.mov"
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        assert first.rotation == -90  # a quarter turn clockwise to be upright
        lying = to_rgb(first)
    frames = frames_of(path)
    assert frames.shape == (3, 568, 320, 3)
    assert difference(frames, filtered(path, ("transpose", "clock"))) < CLOSE
    assert difference(frames[0], np.rot90(lying, -1)) < CLOSE
