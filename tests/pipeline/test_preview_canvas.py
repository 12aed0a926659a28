"""Painting and resizing."""

from __future__ import annotations

import numpy as np
import pytest

from vidprep.pipeline.preview.canvas import Canvas, fit


@pytest.mark.parametrize("size", [(7, 5), (48, 20), (3, 64), (1, 1)])
def test_resizing_keeps_an_even_picture_even(size: tuple[int, int]) -> None:
    picture = np.full((24, 32, 3), (10, 100, 250), np.uint8)
    assert np.array_equal(fit(picture, *size), np.full((*size, 3), (10, 100, 250), np.uint8))


def test_shrinking_averages_instead_of_dropping_pixels() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.all(np.abs(fit(stripes, 8, 8)[:, 1:-1].astype(int) - 100) < 8)


def test_enlarging_is_linear_and_keeps_the_orientation() -> None:
    ramp = np.zeros((2, 3, 3), np.uint8)
    ramp[..., 0], ramp[1, :, 1] = [[0, 100, 200]], 90
    large = fit(ramp, 4, 6)
    assert large[0, :, 0].tolist() == [0, 25, 75, 125, 175, 200]
    assert large[:, 0, 1].tolist() == [0, 22, 68, 90]


def test_pictures_have_round_corners_and_are_cut_at_the_edges() -> None:
    canvas = Canvas.blank(20, 20, (0, 0, 0))
    canvas.picture(4, 4, np.full((10, 10, 3), 255, np.uint8), radius=4)
    assert canvas.pixels[4, 4].max() < 40
    assert canvas.pixels[9, 9].tolist() == [255, 255, 255]
    canvas.picture(-5, -5, np.full((8, 8, 3), 99, np.uint8))
    canvas.picture(15, 15, np.full((8, 8, 3), 99, np.uint8))
    assert canvas.pixels[0, 0, 0] == canvas.pixels[2, 2, 0] == canvas.pixels[19, 19, 0] == 99
    canvas.text(10, 15, "cut off", size=8, colour=(255, 0, 0))
    assert canvas.pixels.shape == (20, 20, 3)
