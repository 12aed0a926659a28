"""Patch features: the definition, what they do not change with, borders, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from executors import Run
from references import zncc_features_reference
from tolerances import assert_matches_reference
from vidprep.kernels import displacement, zncc_features


def random_frames(shape: tuple[int, ...], low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, shape, np.uint8)


@pytest.mark.parametrize("patch", [3, 7, 15])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 9, 3), (1, 9, 1, 3), (3, 8, 11, 1), (2, 21, 18, 3)])
def test_equals_the_definition(run: Run, shape: tuple[int, ...], patch: int) -> None:
    frames = random_frames(shape)
    result = run(zncc_features, frames, patch)
    assert result.dtype == np.float32
    assert_matches_reference("zncc_features", result, zncc_features_reference(frames, patch))


@pytest.mark.parametrize(("shape", "patch"), [((2, 3, 64, 3), 9), ((1, 4, 65, 1), 15), ((1, 2, 131, 3), 3)])
def test_a_gpu_finds_the_bits_of_the_cpu(run_cuda: Run, shape: tuple[int, ...], patch: int) -> None:
    frames = random_frames(shape)
    np.testing.assert_array_equal(run_cuda(zncc_features, frames, patch), zncc_features(frames, patch))


def test_frames_that_are_not_contiguous(run: Run) -> None:
    frames = random_frames((4, 12, 14, 3))
    result = run(lambda x: zncc_features(x[::2, ::2, ::-1], 5), frames)
    np.testing.assert_array_equal(result, zncc_features(np.ascontiguousarray(frames[::2, ::2, ::-1]), 5))


@pytest.mark.parametrize("patch", [3, 9])
def test_writes_into_an_array_of_the_caller_and_nothing_else(run: Run, patch: int) -> None:
    frames = random_frames((2, 3, 5, 3))

    def into(x: Any, memory: Any) -> Any:
        out = memory[1:-1]
        assert zncc_features(x, patch, out=out) is out
        return memory

    result = run(into, frames, np.full((4, 3, 5, patch * patch), 777, np.float32))
    np.testing.assert_array_equal(result[1:-1], zncc_features(frames, patch))
    assert (result[[0, -1]] == 777).all()


@pytest.mark.parametrize(("shape", "dtype"), [((1, 3, 5, 8), np.float32), ((1, 3, 5, 9), np.float64)])
def test_refuses_an_output_that_does_not_fit(run: Run, shape: tuple[int, ...], dtype: type) -> None:
    frames, out = random_frames((1, 3, 5, 3)), np.zeros(shape, dtype)
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(1, 3, 5, 9\) float32 array"):
        run(lambda x, y: zncc_features(x, 3, out=y), frames, out)


def test_extremes_do_not_overflow(run: Run) -> None:
    frames = np.zeros((1, 15, 15, 3), np.uint8)
    frames[:, 7, 7] = 255
    for picture in (frames, 255 - frames):
        assert_matches_reference("zncc_features", run(zncc_features, picture, 15), zncc_features_reference(picture, 15))


@pytest.mark.parametrize("colour", [(255, 255, 255), (13, 77, 201), (1, 0, 0)])
def test_a_patch_without_contrast_is_exactly_zero(run: Run, colour: tuple[int, int, int]) -> None:
    frames = np.broadcast_to(np.uint8(colour), (1, 9, 12, 3))
    assert not run(zncc_features, frames).any()


def test_brightness_and_contrast_do_not_change_the_match(run: Run) -> None:
    texture = random_frames((1, 30, 40, 1), 0, 100)
    moved = np.roll(texture, (1, -2), (1, 2)) * 2 + 37
    first, second = run(zncc_features, texture, 5), run(zncc_features, moved, 5)
    found = displacement(first, second, 3, assignment="wta")
    inner = found[:, 5:-5, 5:-5]
    np.testing.assert_array_equal(inner, np.broadcast_to(np.float32([-2, 1]), inner.shape))


@pytest.mark.parametrize(
    ("frames", "patch", "error", "words"),
    [
        (np.zeros((1, 4, 4, 3), np.float32), 3, TypeError, "uint8, got float32"),
        (np.zeros((4, 4, 3), np.uint8), 3, ValueError, r"got shape \(4, 4, 3\)"),
        (np.zeros((1, 4, 4, 2), np.uint8), 3, ValueError, r"got shape \(1, 4, 4, 2\)"),
        (np.zeros((1, 0, 4, 3), np.uint8), 3, ValueError, r"got shape \(1, 0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), 4, ValueError, r"odd integer, 3\.\.15, got 4"),
        (np.zeros((1, 4, 4, 3), np.uint8), 17, ValueError, "got 17"),
        (np.zeros((1, 4, 4, 3), np.uint8), 1, ValueError, "got 1"),
        (np.zeros((1, 4, 4, 3), np.uint8), 3.0, ValueError, "got 3.0"),
    ],
)
def test_refuses_what_does_not_fit(run: Run, frames: np.ndarray, patch: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run(zncc_features, frames, patch)
