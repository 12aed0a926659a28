"""From FFmpeg's pixel formats to planes and a format that the conversion kernel knows."""

from __future__ import annotations

import av
import numpy as np
import pytest

from media import moving_texture
from vidprep.kernels.cpu.yuv import FrameConverter
from vidprep.kernels.yuv_tables import YuvFormat
from vidprep.pipeline.decode.pictures import planar_format, plane_addresses, to_planar

UNSPECIFIED, LIMITED, FULL = 0, 1, 2
BT709, BT470BG, BT2020 = 1, 5, 9


@pytest.mark.parametrize(
    ("name", "depth", "shift"),
    [
        ("yuv420p", 8, (1, 1)),
        ("yuv422p", 8, (1, 0)),
        ("yuv444p", 8, (0, 0)),
        ("yuv440p", 8, (0, 1)),
        ("yuv411p", 8, (2, 0)),
        ("yuv410p", 8, (2, 2)),
        ("yuva420p", 8, (1, 1)),
        ("yuv420p10le", 10, (1, 1)),
        ("yuv422p12le", 12, (1, 0)),
        ("yuva444p16le", 16, (0, 0)),
    ],
)
def test_planar_yuv(name: str, depth: int, shift: tuple[int, int]) -> None:
    expected = YuvFormat(matrix="bt601", full_range=False, depth=depth, chroma_shift=shift)
    assert planar_format(name, 2, UNSPECIFIED, False) == expected


def test_matrix_range_and_siting_are_the_streams() -> None:
    assert planar_format("yuv420p", BT709, LIMITED, False) == YuvFormat(matrix="bt709")
    assert planar_format("yuv420p", BT470BG, FULL, False) == YuvFormat(full_range=True)
    assert planar_format("yuvj420p", BT709, LIMITED, False) == YuvFormat(matrix="bt709", full_range=True)
    assert planar_format("yuv420p10le", BT2020, UNSPECIFIED, False) == YuvFormat(matrix="bt2020", depth=10)
    assert planar_format("yuv420p", 99, UNSPECIFIED, True) == YuvFormat(siting="center")


@pytest.mark.parametrize(("name", "depth"), [("gbrp", 8), ("gbrap", 8), ("gbrp10le", 10), ("gbrp16le", 16)])
def test_planar_rgb_knows_no_matrix(name: str, depth: int) -> None:
    expected = YuvFormat(matrix="rgb", full_range=True, depth=depth, chroma_shift=(0, 0))
    assert planar_format(name, BT709, LIMITED, False) == expected


@pytest.mark.parametrize(("name", "depth"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
def test_grey_is_full_range_unless_it_says_otherwise(name: str, depth: int) -> None:
    for color_range, full in [(UNSPECIFIED, True), (FULL, True), (LIMITED, False)]:
        expected = YuvFormat(matrix="gray", full_range=full, depth=depth, chroma_shift=(0, 0))
        assert planar_format(name, 2, color_range, False) == expected


NOT_PLANAR = [
    "nv12",
    "yuyv422",
    "rgb24",
    "bgra",
    "pal8",
    "yuv420p10be",
    "monob",
    "p010le",
    "grayf32le",
    "xyz12le",
    "ya8",
]


@pytest.mark.parametrize("name", NOT_PLANAR)
def test_everything_else_is_not_planar(name: str) -> None:
    assert planar_format(name, 2, UNSPECIFIED, False) is None


@pytest.mark.parametrize(
    "name", ["nv12", "nv21", "nv16", "nv24", "yuyv422", "uyvy422", "yvyu422", "p010le", "p210le", "ya8", "yuv420p10be"]
)
def test_packed_samples_are_taken_apart_unchanged(name: str) -> None:
    packed = _textured().reformat(format=name)
    parted = to_planar(packed)
    fmt = planar_format(parted.format.name, parted.colorspace, parted.color_range, False)
    assert fmt is not None
    again = parted.reformat(format=name)
    assert [bytes(plane) for plane in again.planes] == [bytes(plane) for plane in packed.planes]


@pytest.mark.parametrize("name", ["rgb555le", "rgb565le", "rgb24", "bgr0", "argb", "bgr48le"])
def test_white_stays_white(name: str) -> None:
    white = av.VideoFrame.from_ndarray(np.full((4, 6, 3), 255, np.uint8), format="rgb24").reformat(format=name)
    parted = to_planar(white)
    assert parted.format.name == "gbrp"
    fmt = planar_format(parted.format.name, parted.colorspace, parted.color_range, False)
    assert fmt is not None
    assert (_converted(parted, fmt) == 255).all()


def test_planes_come_in_the_kernels_order() -> None:
    frame = _coloured().reformat(format="gbrp")
    fmt = planar_format("gbrp", 2, UNSPECIFIED, False)
    assert fmt is not None
    assert (_converted(frame, fmt) == (200, 30, 40)).all()
    green, blue, red = ((plane.buffer_ptr, plane.line_size) for plane in frame.planes)
    assert plane_addresses(frame, fmt) == (red, green, blue)


def test_a_grey_picture_is_its_luma_three_times() -> None:
    frame = _coloured().reformat(format="gray")
    fmt = planar_format("gray", 2, UNSPECIFIED, False)
    assert fmt is not None
    assert plane_addresses(frame, fmt) == ((frame.planes[0].buffer_ptr, frame.planes[0].line_size),) * 3


def _converted(frame: av.VideoFrame, fmt: YuvFormat) -> np.ndarray:
    out = np.empty((frame.height, frame.width, 3), np.uint8)
    FrameConverter((frame.height, frame.width), (frame.height, frame.width), fmt)(*plane_addresses(frame, fmt), out)
    return out


def _textured() -> av.VideoFrame:
    """64 pixels wide: no plane has padding at the end of its lines."""
    return av.VideoFrame.from_ndarray(moving_texture(1, (48, 64))[0], format="rgb24").reformat(format="yuv444p10le")


def _coloured() -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((6, 8, 3), (200, 30, 40), np.uint8), format="rgb24")
