"""Pictures of motion: colours, tiles, differences around grey, and the scale they share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from extraction import build_cache, small_config
from media import moving_texture, write_clip
from vidprep import Cache
from vidprep.kernels import warped_difference
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.preview import write_preview
from vidprep.pipeline.preview.canvas import Canvas
from vidprep.pipeline.preview.colour_wheel import colour_motion, wheel_picture
from vidprep.pipeline.preview.contact_sheet import contact_sheet
from vidprep.pipeline.preview.cost_tiles import cost_tiles
from vidprep.pipeline.preview.page import page
from vidprep.pipeline.preview.render import DERIVED, Look, get_renderer, render
from vidprep.pipeline.preview.selection import choose_views

EVERYTHING = ("rgb", "residual", "flow", "displacement", "cost-volume", "warped-difference")


def motion_cache(
    folder: Path, modalities: tuple[str, ...] = EVERYTHING, velocity: float = 3.0, **options: str
) -> Cache:
    """A cache of a texture that moves to the right."""
    frames = moving_texture(8, (48, 64), velocity=(velocity, 0.0))
    clip = write_clip(folder / "clip.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    config = small_config(modalities=modalities, motion=MotionOptions(**options))
    return build_cache([clip], folder / "cache", config=config)


def coloured(x: float, y: float, scale: float = 1.0) -> list[int]:
    return colour_motion(np.array([x, y]), scale).tolist()


def test_the_colours_are_those_of_the_published_wheel() -> None:
    assert coloured(0, 0) == [255, 255, 255]
    assert coloured(1, 0) == [255, 0, 0]  # right
    # A quarter of the 54 steps: 13.5 of 15 from red to yellow; half: 2 of 11 from cyan to blue; and 4.5 of 13 on.
    assert coloured(0, 1) == [255, 230, 0]  # down
    assert coloured(-1, 0) == [0, 208, 255]  # left
    assert coloured(0, -1) == [88, 0, 255]  # up


def test_length_is_saturation_and_too_much_is_darker() -> None:
    assert coloured(2, 0, scale=4) == [255, 128, 128]
    assert coloured(4, 0, scale=4) == [255, 0, 0]
    assert coloured(9, 0, scale=4) == [191, 0, 0]


@given(st.floats(0, 2 * np.pi), st.floats(0.01, 0.99))
def test_hues_turn_with_the_direction(angle: float, length: float) -> None:
    """Neighbouring directions have neighbouring colours, all the way round; opposite ones differ.

    Where the wheel closes, at the right, it makes one step of 43 levels: its last hue is not quite its first.
    """
    here, beside, opposite = (
        np.array(coloured(length * np.cos(turned), length * np.sin(turned)))
        for turned in (angle, angle + 0.01, angle + np.pi)
    )
    assert np.abs(here - beside).max() <= 44
    assert np.abs(here - opposite).max() > 100 * length


def test_the_wheel_is_white_in_the_middle_and_red_at_the_right() -> None:
    wheel = wheel_picture(101)
    assert wheel[50, 50].tolist() == [255, 255, 255]
    assert wheel[50, 99, 0] == 255
    assert wheel[50, 99, 1:].max() < 12


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (24, 32), (300, 400)])
@pytest.mark.parametrize("window", [(1, 1), (2, 5), (15, 15)])
def test_tiles_fit_frames_of_any_shape(shape: tuple[int, int], window: tuple[int, int]) -> None:
    volume = np.zeros((1, *shape, (2 * window[0] + 1) * (2 * window[1] + 1)), np.float16)
    picture = cost_tiles(volume, window)
    assert picture.shape[1] % shape[0] == picture.shape[2] % shape[1] == 0
    assert picture.shape[1] >= 128 or shape[0] >= 128


def test_tiles_of_wide_frames_are_not_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.pipeline.preview.cost_tiles._MOST_WIDTH", 1000)
    assert cost_tiles(np.zeros((1, 2, 300, 9), np.float16), (1, 1)).shape == (1, 6, 900, 3)
    assert cost_tiles(np.zeros((1, 1, 1200, 9), np.float16), (1, 1)).shape == (1, 1, 1200, 3)


def test_a_tile_is_light_where_the_features_are_alike() -> None:
    volume = np.zeros((1, 128, 128, 3, 5), np.float32)
    volume[..., 0, 4] = 1  # up and to the right
    picture = cost_tiles(volume.reshape(1, 128, 128, 15), (1, 2))[0].astype(int).sum(axis=2)
    tile = picture[:32, :32]
    rows, columns = np.nonzero(tile > 550)
    assert rows.max() < 16 < columns.min()
    with pytest.raises(ValueError, match="15 channels, got 25"):
        cost_tiles(np.zeros((1, 4, 4, 25), np.float32), (1, 2))


def test_differences_stand_out_from_grey_on_both_sides() -> None:
    differences = np.array([0, 20, -20, 255, -255], np.float32).reshape(1, 1, 5, 1).repeat(3, axis=3)
    assert render("warped-difference", differences)[0, 0, :, 0].tolist() == [128, 158, 98, 255, 0]


def test_flow_and_displacement_share_a_scale_that_fits_them(tmp_path: Path) -> None:
    cache = motion_cache(tmp_path)  # shrunk to half: 1.5 pixels
    (view,) = choose_views(cache, None, limit=1)
    assert view.look.motion_scale in (1.5, 2)
    assert (view.look.window, view.look.warped_by) == ((4, 4), "displacement")
    for name in ("flow", "displacement"):
        assert f"full colour at {view.look.motion_scale:g} px" in get_renderer(name, view.look).caption
        middle = view.pictures(cache, name, 3, 4)[0, 8:-8, 8:-8].reshape(-1, 3).mean(axis=0)
        assert middle[0] > 240  # red: to the right
        assert middle[1:].max() < 130


def test_a_cache_without_motion_has_no_wheel(tmp_path: Path) -> None:
    cache = motion_cache(tmp_path, ("rgb", "residual"))
    assert 'class="quiet wheel"' not in page(cache, choose_views(cache, None, limit=1))


@pytest.mark.parametrize(("warp_by", "other"), [("flow", "displacement"), ("displacement", "flow")])
def test_the_difference_warped_by_each_motion_is_seen_as_in_figure_5(tmp_path: Path, warp_by: str, other: str) -> None:
    cache = motion_cache(tmp_path, warp_by=warp_by, flow_dtype="float16", difference_dtype="float16")
    (view,) = choose_views(cache, None, limit=1)
    by_flow, by_displacement = {
        "flow": ("warped-difference", "warped by displacement"),
        "displacement": ("warped by flow", "warped-difference"),
    }[warp_by]
    assert view.modalities == (
        "rgb before", "rgb", "flow", "displacement", "residual", by_flow, by_displacement, "cost-volume"
    )  # fmt: skip
    frames = cache.read("clip.mkv", "rgb").astype(np.float32)
    for name, motion in (("warped-difference", warp_by), (f"warped by {other}", other)):
        wanted = warped_difference(frames[:-1], frames[1:], cache.read("clip.mkv", motion, decode=True))
        shown: NDArray[np.int64] = view.pictures(cache, name, 2, 6).astype(int)
        wanted = render("warped-difference", wanted, Look())[1:5].astype(int)
        # Displacement was warped by before it was rounded: at the borders that may be inside or outside.
        assert (np.abs(shown - wanted) > 1).mean() < 0.02
    assert set(DERIVED.values()) == {"flow", "displacement"}


@pytest.mark.parametrize("step", [1, 3])
def test_both_frames_of_a_pair_are_seen_beside_motion(tmp_path: Path, step: int) -> None:
    clip = write_clip(tmp_path / "clip.mkv", moving_texture(8, (48, 64)), codec="ffv1", pix_fmt="bgr0")
    cache = build_cache([clip], tmp_path / "c", config=small_config(modalities=("rgb", "displacement"), step=step))
    (view,) = choose_views(cache, None, limit=1)
    assert view.modalities == ("rgb before", "rgb", "displacement")
    assert view.frames == range(step, 8)
    before = view.pictures(cache, "rgb before", step, 8)
    np.testing.assert_array_equal(before, cache.read("clip.mkv", "rgb", 0, 8 - step))
    assert write_preview(cache, tmp_path / "look.png").modalities == ("rgb", "displacement")  # what is in the cache


def test_there_is_nothing_to_warp_without_frames(tmp_path: Path) -> None:
    cache = motion_cache(tmp_path, ("flow", "warped-difference"))
    assert choose_views(cache, None, limit=1)[0].modalities == ("flow", "warped-difference")


def test_all_of_it_is_in_sheet_film_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = motion_cache(tmp_path)
    for suffix in (".png", ".mp4", ".html"):
        report = write_preview(cache, tmp_path / f"look{suffix}", "clip.mkv")
        assert set(report.modalities) == set(EVERYTHING)  # what was computed for the preview is not of the cache
    assert 'class="quiet wheel"' in (tmp_path / "look.html").read_text()
    written: list[str] = []
    monkeypatch.setattr(Canvas, "text", lambda self, y, x, text, **style: written.append(text))
    views = choose_views(cache, None, limit=1)
    contact_sheet(cache, views)
    assert f"{views[0].look.motion_scale:g} px" in written
    assert sum(text.startswith("flow: ") for text in written) == 1
