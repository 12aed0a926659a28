"""Cost volumes at points that were chosen: which window is shown, how large, and where it is marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extraction import build_cache, small_config
from media import moving_texture, write_clip
from vidprep import Cache
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.preview import write_preview
from vidprep.pipeline.preview.cost_tiles import cost_tiles
from vidprep.pipeline.preview.points import COLOURS, mark_points
from vidprep.pipeline.preview.render import get_renderer
from vidprep.pipeline.preview.selection import choose_views


def cost_cache(folder: Path, modalities: tuple[str, ...] = ("rgb", "cost-volume")) -> Cache:
    """A cache of frames of 32x24, with a radius of 2 across and 1 down."""
    clip = write_clip(folder / "clip.mkv", moving_texture(5, (48, 64)), codec="ffv1", pix_fmt="bgr0")
    motion = MotionOptions(radius=(1, 2)) if "cost-volume" in modalities else MotionOptions()
    return build_cache([clip], folder / "cache", config=small_config(modalities=modalities, motion=motion))


def where(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what has a colour; the ends are excluded."""
    rows, columns = np.nonzero((picture == colour).all(axis=-1))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize("number", range(1, len(COLOURS) + 1))
def test_each_point_has_its_window_in_a_frame_of_its_colour(number: int) -> None:
    points = [(3 * i, 5 * i) for i in range(number)]
    volume = np.zeros((2, 24, 32, 3, 5), np.float32)
    for i, (y, x) in enumerate(points):
        volume[:, y, x, i % 3, 4] = 1  # light at the right, in another row
    pictures = cost_tiles(volume.reshape(2, 24, 32, 15), (1, 2), points)
    assert pictures.shape == (2, 144, 192, 3)
    for i, colour in enumerate(COLOURS):
        if i >= number:
            assert not (pictures == colour).all(axis=-1).any()
            continue
        top, bottom, left, right = where(pictures[1], colour)
        tile = pictures[1, top + 3 : bottom - 3, left + 3 : right - 3]
        side = tile.shape[0] // 3
        assert tile.shape == (3 * side, 5 * side, 3)
        light = (tile.astype(int).sum(axis=2) > 550).reshape(3, side, 5, side).mean(axis=(1, 3))
        assert np.argwhere(light > 0.5).tolist() == [[i % 3, 4]]


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (24, 32), (300, 400)])
@pytest.mark.parametrize("window", [(1, 1), (2, 5), (15, 15)])
@pytest.mark.parametrize("number", [1, 5])
def test_frames_of_any_shape_have_room(shape: tuple[int, int], window: tuple[int, int], number: int) -> None:
    volume = np.zeros((1, *shape, (2 * window[0] + 1) * (2 * window[1] + 1)), np.float16)
    grid = cost_tiles(volume, window)
    assert cost_tiles(volume, window, [(i % shape[0], 0) for i in range(number)]).shape == grid.shape
    pictures = np.zeros((1, *shape, 3), np.uint8)
    assert mark_points(pictures, [(0, 0), (shape[0] - 1, shape[1] - 1)], window).shape == pictures.shape
    assert not pictures.any()  # the marks are on a copy


def test_a_mark_surrounds_what_is_within_reach() -> None:
    marked = mark_points(np.full((1, 30, 40, 3), 7, np.uint8), [(10, 20)], (2, 4))[0]
    assert where(marked, COLOURS[0]) == (7, 14, 15, 26)
    assert (marked[8:13, 16:25] == 7).all()


def test_points_are_marked_in_both_frames(tmp_path: Path) -> None:
    cache = cost_cache(tmp_path)
    (view,) = choose_views(cache, None, limit=1, points=[(12, 9), (5, 20), (12, 9)])
    assert view.look.points == ((12, 9), (5, 20))
    assert get_renderer("cost-volume", view.look).caption.startswith("at 9,12 and 20,5, marked in the frames: ")
    before, after = (view.pictures(cache, name, 2, 3)[0] for name in ("rgb before", "rgb"))
    assert where(before, COLOURS[0]) == (9, 16, 6, 13)
    assert where(after, COLOURS[0]) == (10, 15, 6, 13)  # around its window
    assert where(after, COLOURS[1]) == (3, 8, 17, 24)
    volume = cache.read("clip.mkv", "cost-volume", 1, 2)
    tiles = view.pictures(cache, "cost-volume", 2, 3)
    np.testing.assert_array_equal(tiles, cost_tiles(volume, (1, 2), [(12, 9), (5, 20)]))


def test_without_frames_other_pictures_are_marked(tmp_path: Path) -> None:
    cache = cost_cache(tmp_path, ("displacement", "cost-volume"))
    (view,) = choose_views(cache, None, limit=1, points=[(12, 9)])
    assert where(view.pictures(cache, "displacement", 2, 3)[0], COLOURS[0]) == (9, 16, 6, 13)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(24, 0)], "^a point at x = 0, y = 24 is .* 'clip.mkv', which are 32x24: x may be 0 to 31, and y 0 to 23$"),
        ([(0, 0), (0, 32)], "a point at x = 32, y = 0 is outside"),
        ([(-1, 0)], "a point at x = 0, y = -1 is outside"),
        ([(i, i) for i in range(7)], "up to 6 times, got 7 points: leave some out"),
        ([3], r"must be \(y, x\), the row and the column of a pixel, got 3"),
        ([(1.5, 2)], r"must be \(y, x\)"),
        ([(1, 2, 3)], r"must be \(y, x\)"),
    ],
)  # fmt: skip
def test_points_that_are_none(tmp_path: Path, points: list[Any], words: str) -> None:
    cache = cost_cache(tmp_path)
    with pytest.raises(UsageError, match=words):
        write_preview(cache, tmp_path / "look.png", points=points)
    assert not (tmp_path / "look.png").exists()


def test_points_need_a_cost_volume(tmp_path: Path) -> None:
    cache = cost_cache(tmp_path, ("rgb", "residual"))
    with pytest.raises(UsageError, match="this cache holds residual, rgb: extract cost-volume too, or leave it out"):
        choose_views(cache, None, limit=1, points=[(1, 1)])
