"""The film."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from made_caches import make_cache
from media import moving_texture
from vidprep.pipeline.preview import movie
from vidprep.pipeline.preview.selection import View


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """More than a chunk, of an odd width."""
    return moving_texture(40, (128, 171))


@pytest.mark.parametrize(("fps", "rate"), [(29.97, Fraction(2997, 100)), (0.0, Fraction(25)), (1e-9, Fraction(1, 10))])
def test_film_has_every_frame_at_the_videos_rate(
    tmp_path: Path, frames: NDArray[np.uint8], fps: float, rate: Fraction
) -> None:
    cache = make_cache(tmp_path / "c", {"v": frames}, fps=fps)
    file = io.BytesIO()
    assert movie.write_movie(cache, View.of(cache.videos["v"]), file) == 39
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == rate
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(shown) == 39
    assert all(side % 2 == 0 for side in shown[0].shape[:2])
    # The left panel is the frame, twice as large; the right one the residual.
    panel = shown[20][36 : 36 + 256, 16 : 16 + 342][::2, ::2]
    assert np.abs(panel.astype(int) - frames[21]).mean() < 12
    assert np.abs(panel.astype(int) - frames[26]).mean() > 15


@pytest.mark.parametrize("shape", [(2, 600), (9, 8000)])  # enlarged less than others, and shrunk
def test_films_of_wide_frames_are_not_too_wide(
    tmp_path: Path, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movie, "_WIDEST", 1024)
    cache = make_cache(tmp_path / "c", {"v": np.zeros((3, *shape, 3), np.uint8)})
    view = View.of(cache.videos["v"])
    file = io.BytesIO()
    movie.write_movie(cache, view, file)
    file.seek(0)
    with av.open(file) as container:
        picture = container.streams.video[0].codec_context
        assert 900 < picture.width <= 1024
        height, width = picture.height - 36 - 32, (picture.width - 2 * 16 + 12) // 2 - 12
        assert height / width == pytest.approx(view.shown_size[0] / view.shown_size[1], abs=1 / width)


def test_without_an_encoder_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache(tmp_path / "c", ["v"])
    monkeypatch.setattr(movie.av.codec, "codecs_available", {"h264"})
    with pytest.raises(movie.OutputError, match=r"libx264.*preview as \.png"):
        movie.write_movie(cache, View.of(cache.videos["v"]), io.BytesIO())
