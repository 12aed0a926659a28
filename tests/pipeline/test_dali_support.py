"""What DALI is not given, each with a clip that has it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media import write_clip, write_packed_avi
from references import LUMA_WEIGHTS
from vidprep.kernels import YuvFormat
from vidprep.pipeline.decode import dali_support
from vidprep.pipeline.decode.dali_support import can_take, matrix_correction, shares_decoder
from vidprep.pipeline.decode.demux import scan

SHOWN_ONLY = {"auto-alt-ref": "0", "lag-in-frames": "0"}
TAKEN = [
    ("cuda:0", "a.mp4", {"codec": "libx264", "b_frames": 2}),
    ("cuda:0", "a.mkv", {"codec": "libx264", "matrix": "bt709", "full_range": False}),
    ("cuda:0", "a.mp4", {"codec": "libx264", "rotation": 90}),
    ("cuda:0", "a.mp4", {"codec": "libx264", "times": [0, 0.1, 0.4], "num_frames": 3}),
    ("cuda:0", "a.mp4", {"codec": "libx265", "b_frames": 2}),
    ("cuda:0", "a.avi", {"codec": "mpeg4", "b_frames": 1}),
    ("cuda:0", "a.webm", {"codec": "libvpx-vp9", "options": SHOWN_ONLY}),
    ("cpu", "a.webm", {"codec": "libvpx-vp9", "options": SHOWN_ONLY}),
    ("cpu", "a.webm", {"codec": "libvpx", "options": SHOWN_ONLY}),
    ("cpu", "a.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ("cpu", "a.webm", {"codec": "libvpx-vp9", "options": SHOWN_ONLY, "size": (33, 47)}),
]
REFUSED = [
    ("cpu", "a.mp4", {"codec": "libx264"}, "on the CPU exactly, not h264"),
    ("cuda:0", "a.mp4", {"codec": "libsvtav1", "size": (64, 64)}, "on the GPU exactly, not av1"),
    ("cuda:0", "a.ts", {"codec": "libx264"}, "parameter sets"),
    ("cuda:0", "a.mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le"}, "cuts 10 bits"),
    ("cuda:0", "a.mp4", {"codec": "libx264", "pix_fmt": "yuv422p"}, "4:2:0 pictures only, not yuv422p"),
    ("cuda:0", "a.mp4", {"codec": "libx264", "pix_fmt": "yuv444p"}, "4:2:0 pictures only, not yuv444p"),
    ("cpu", "a.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj422p"}, "4:2:0 pictures only, not yuvj422p"),
    ("cuda:0", "a.mp4", {"codec": "libx264", "full_range": True, "matrix": "bt709"}, "full range"),
    (
        "cpu",
        "a.webm",
        {"codec": "libvpx-vp9", "options": SHOWN_ONLY, "full_range": True, "matrix": "bt601"},
        "full range",
    ),
    ("cuda:0", "a.webm", {"codec": "libvpx-vp9", "options": SHOWN_ONLY, "size": (33, 48)}, r"odd sizes \(48x33\)"),
    ("cuda:0", "a.mp4", {"codec": "libx264", "options": {"x264-params": "interlaced=1"}}, "interlaced"),
]


@pytest.mark.parametrize(("device", "name", "clip"), TAKEN)
def test_takes(tmp_path: Path, device: str, name: str, clip: dict) -> None:
    assert can_take(scan(write_clip(tmp_path / name, **clip)), device) is None


@pytest.mark.parametrize(("device", "name", "clip", "words"), REFUSED)
def test_refuses(tmp_path: Path, device: str, name: str, clip: dict, words: str) -> None:
    reason = can_take(scan(write_clip(tmp_path / name, **clip)), device)
    assert reason is not None
    assert re.search(words, reason), reason


def test_refuses_packed_b_frames(tmp_path: Path) -> None:
    assert can_take(scan(write_packed_avi(tmp_path / "a.avi")), "cuda") == "its B-frames are packed"


def test_refuses_a_file_cut_short(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.webm", codec="libvpx-vp9", options=SHOWN_ONLY).read_bytes()
    path = tmp_path / "b.webm"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert can_take(scan(path), "cpu") == "packets are damaged or missing"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"ordered": False}, "display order is uncertain"),
        ({"trimmed": True}, "edit list"),
        ({"hidden_frames": True}, "not shown"),
        ({"parameters_change": True}, "change on the way"),
        ({"keyframes": np.array([3])}, "does not begin with a key frame"),
        ({"ranks": np.roll(np.arange(12), -1)}, "does not begin with a key frame"),
        ({"ranks": np.array([0, *range(2, 10), 1, 10, 11])}, "coded up to 8 places after their turn"),
        ({"format": None}, "4:2:0 pictures only"),
    ],
)
def test_refuses_what_a_scan_may_find(tmp_path: Path, found: dict, words: str) -> None:
    scanned = scan(write_clip(tmp_path / "a.mp4"))
    assert can_take(scanned, "cuda") is None
    assert words in (can_take(replace(scanned, **found), "cuda") or "")


def test_a_decoder_is_not_shared_between_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_support, "_whole_pictures", set())
    whole = scan(write_clip(tmp_path / "a.mp4", size=(64, 64)))
    cropped = scan(write_clip(tmp_path / "b.mp4", size=(50, 64)))
    assert whole.coded == cropped.coded
    assert shares_decoder(cropped) is None
    assert shares_decoder(whole) is None
    assert "not cropped" in (shares_decoder(cropped) or "")


@pytest.mark.parametrize("matrix", ["bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_correction(matrix: str, full_range: bool) -> None:
    """Wrong RGB of a pixel, corrected, is its right RGB: with the equations of the standards."""

    def to_rgb(name: str, y: float, cb: float, cr: float) -> np.ndarray:
        kr, kb = LUMA_WEIGHTS[name]
        red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
        return np.array([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue])

    correction = matrix_correction(YuvFormat(matrix=matrix, full_range=full_range))
    assert correction is not None
    for pixel in ((0.5, 0.0, 0.0), (0.4, 0.1, -0.2), (0.7, -0.15, 0.1)):
        np.testing.assert_allclose(correction @ to_rgb("bt601", *pixel), to_rgb(matrix, *pixel), atol=1e-3)


def test_bt601_needs_no_correction() -> None:
    assert matrix_correction(YuvFormat(matrix="bt601")) is None
