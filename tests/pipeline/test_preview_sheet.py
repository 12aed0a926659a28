"""The contact sheet, and image files."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from made_caches import make_cache
from media import moving_texture
from vidprep.pipeline.preview.canvas import Canvas
from vidprep.pipeline.preview.contact_sheet import BACKGROUND, contact_sheet
from vidprep.pipeline.preview.images import encode_jpeg, encode_png
from vidprep.pipeline.preview.selection import choose_views


def decoded(image: bytes, name: str) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(image), format=f"{name}_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def find(sheet: NDArray[np.uint8], picture: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Where a picture, without its rounded corners, appears pixel by pixel."""
    core = picture[8:-8, 8:-8]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, core.shape)[:, :, 0]
    starts = np.argwhere(np.all(windows[:, :, 0, :4] == core[0, :4], axis=(2, 3)))
    return [(y - 8, x - 8) for y, x in starts.tolist() if np.array_equal(windows[y, x], core)]


def test_frames_stand_above_the_residuals_that_belong_to_them(tmp_path: Path) -> None:
    frames, others = (moving_texture(30, (128, 170), velocity=(1.37, 0.71), seed=seed) for seed in (0, 1))
    cache = make_cache(tmp_path / "c", {"Archery/v": frames, "Bowling/w": others}, step=2)
    sheet = contact_sheet(cache, choose_views(cache, None, limit=4))
    places = {t: find(sheet, frames[t]) for t in range(30)}
    shown = [t for t, place in places.items() if place]
    assert len(shown) == 6
    assert shown[0] >= 2
    assert sorted(places[t][0][1] for t in shown) == [places[t][0][1] for t in shown]
    for t in shown:
        ((y, x),) = places[t]
        difference = np.abs(frames[t].astype(int) - frames[t - 2])
        ((below, beside),) = find(sheet, np.minimum(255, 3 * difference).astype(np.uint8))
        assert beside == x
        assert below == y + 128 + 8


def test_a_cache_without_rgb_shows_residuals_alone(tmp_path: Path) -> None:
    both = make_cache(tmp_path / "b", ["v"])
    alone = make_cache(tmp_path / "a", ["v"], modalities=["residual"])
    heights = [contact_sheet(cache, choose_views(cache, None, limit=1)).shape[0] for cache in (both, alone)]
    assert heights[0] > heights[1]


@pytest.mark.parametrize("shape", [(2, 1, 1, 3), (2, 500, 3, 3), (2, 3, 500, 3), (90, 24, 32, 3)])
def test_any_shape_fits(tmp_path: Path, shape: tuple[int, ...]) -> None:
    cache = make_cache(tmp_path / "c", {"v" * 200: np.full(shape, 200, np.uint8)})
    sheet = contact_sheet(cache, choose_views(cache, None, limit=1))
    assert sheet.max() > 150
    assert sheet[-1, -1].tolist() == list(BACKGROUND)


def test_png_is_lossless_and_jpeg_nearly(tmp_path: Path) -> None:
    picture = moving_texture(1, (37, 51))[0]
    assert np.array_equal(decoded(encode_png(picture), "png"), picture)
    assert encode_png(picture).startswith(b"\x89PNG\r\n")
    loss = np.abs(decoded(encode_jpeg(picture), "jpeg").astype(int) - picture)
    assert loss.mean() < 4


@pytest.mark.parametrize(
    ("source", "cell"),
    [((240, 320), (128, 170)), ((272, 640), (111, 260)), ((568, 320), (235, 132)), ((16384, 1), (240, 132))],
)
def test_cells_have_the_shape_of_the_source(tmp_path: Path, source: tuple[int, int], cell: tuple[int, int]) -> None:
    cache = make_cache(tmp_path / "c", {"v": np.full((4, 128, 170, 3), 200, np.uint8)}, modalities=["rgb"])
    (view,) = choose_views(cache, None, limit=1)
    view = replace(view, video=replace(view.video, source_height=source[0], source_width=source[1]))
    white = np.all(contact_sheet(cache, [view]) == 200, axis=2)
    rows, columns = np.flatnonzero(white.sum(axis=1) > 60), np.flatnonzero(white.sum(axis=0) > 30)
    assert rows[-1] - rows[0] + 1 == cell[0]
    assert columns[-1] - columns[0] + 1 == 4 * cell[1] + 3 * 8


def test_the_title_names_source_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(Canvas, "text", lambda self, y, x, text, **style: written.append(text))
    cache = make_cache(tmp_path / "my cache", ["v"])
    contact_sheet(cache, choose_views(cache, None, limit=1))
    assert written[0] == "videos"
    assert written[1].startswith("in my cache \N{MIDDLE DOT} 1 video")
