import numpy as np
import pytest

from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.errors import UsageError, VideoError


def test_a_fixed_size_is_every_videos_size() -> None:
    assert FrameSize(height=128, width=170).resolve(1080, 1920) == (128, 170)
    assert str(FrameSize(height=128, width=170)) == "170x128"


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (240, 320, (120, 160)),
        (320, 240, (160, 120)),
        (120, 120, (120, 120)),
        (1080, 1920, (120, 213)),
        (60, 80, (120, 160)),
    ],
)
def test_a_short_side_keeps_the_shape(height: int, width: int, expected: tuple[int, int]) -> None:
    assert FrameSize(short_side=120).resolve(height, width) == expected


def test_no_side_vanishes() -> None:
    assert FrameSize(short_side=1).resolve(3, 5) == (1, 2)
    assert FrameSize(short_side=1).resolve(1, 1) == (1, 1)


def test_a_long_narrow_video_does_not_explode() -> None:
    with pytest.raises(VideoError, match="2x16384 pixels would grow to 1000x8192000"):
        FrameSize(short_side=1000).resolve(16384, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"height": 128},
        {"width": 170},
        {"height": 128, "width": 170, "short_side": 128},
        {"height": 128, "short_side": 128},
        {"height": 0, "width": 1},
        {"height": -5, "width": 170},
        {"short_side": 0},
        {"short_side": 16385},
        {"height": 16384, "width": 16384},
        {"height": 1.5, "width": 2.5},
        {"height": True, "width": 170},
        {"short_side": "128"},
    ],
)
def test_what_is_no_size(fields: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"size|8192x8192"):
        FrameSize(**fields)


def test_numbers_of_numpy_are_kept_as_plain_ones() -> None:
    size = FrameSize(height=np.int64(128), width=np.uint16(170))
    assert size == FrameSize(height=128, width=170)
    assert type(size.height) is type(size.width) is int
