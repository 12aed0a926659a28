"""The cost volume: equations, known truths, odd sizes, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from feature_pairs import SHAPES, random_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import cost_volume_reference
from tolerances import assert_matches_reference
from vidprep.kernels import cost_volume


@pytest.mark.parametrize(("shape", "radius"), SHAPES)
def test_equals_the_definition(run: Run, shape: tuple[int, ...], radius: tuple[int, int]) -> None:
    pair = random_pair(shape)
    result = run(cost_volume, *pair, radius)
    assert result.dtype == np.float32
    assert_matches_reference("cost_volume", result, cost_volume_reference(*pair, radius))


def test_half_precision_features_and_a_radius_of_one_number(run: Run) -> None:
    first, second = (features.astype(np.float16) for features in random_pair((1, 5, 6, 4)))
    result = run(cost_volume, first, second, 2)
    assert result.dtype == np.float32
    assert_matches_reference("cost_volume", result, cost_volume_reference(first, second, (2, 2)))


def test_features_that_are_not_contiguous_or_read_only(run: Run) -> None:
    first, second = random_pair((1, 12, 14, 6))
    first.flags.writeable = False
    result = run(lambda a, b: cost_volume(a[:, ::2, ::-1], b[:, ::2, ::-1], 1), first, second)
    expected = cost_volume_reference(first[:, ::2, ::-1], second[:, ::2, ::-1], (1, 1))
    assert_matches_reference("cost_volume", result, expected)


def test_a_shifted_texture_is_found_where_it_went(run: Run) -> None:
    texture = random_pair((1, 30, 40, 8))[0]
    first, second = texture[:, 5:25, 5:35], texture[:, 3:23, 6:36]  # moved by 2 down, 1 left
    cost = run(cost_volume, first, second, (3, 2))
    np.testing.assert_allclose(cost[0, 0:18, 1:, 3 + 2, 2 - 1], 1, atol=1e-6)


def test_neighbours_outside_the_image_count_as_zero(run: Run) -> None:
    features = np.ones((1, 3, 4, 2), np.float32)
    cost = run(cost_volume, features, features, (1, 1))
    expected = np.ones((3, 3))
    expected[0] = expected[:, 0] = 0
    np.testing.assert_allclose(cost[0, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(cost[0, 2, 3], expected[::-1, ::-1], atol=1e-6)


def test_zero_features_are_like_nothing(run: Run) -> None:
    first, second = random_pair((1, 4, 5, 6))
    first[0, 1, 2] = 0
    second[0, 3, 3] = 0
    cost = run(cost_volume, first, second, 2)
    assert not cost[0, 1, 2].any()
    assert cost[0, 3, 3, 2, 2] == 0


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 40), st.integers(1, 20)),
    seed=st.integers(0, 2**32 - 1),
)
def test_scaling_features_pixel_by_pixel_changes_nothing(run: Run, shape: tuple[int, ...], seed: int) -> None:
    first, second = random_pair(shape, seed)
    rng = np.random.default_rng(seed)
    scales = np.exp2(rng.integers(-30, 31, (2, *shape[:3], 1))).astype(np.float32)  # powers of two: no rounding
    result = run(cost_volume, first * scales[0], second * scales[1], (2, 1))
    np.testing.assert_allclose(result, run(cost_volume, first, second, (2, 1)), rtol=0, atol=1e-6)


def test_swapping_the_frames_mirrors_the_window(run: Run) -> None:
    first, second = random_pair((1, 9, 21, 5))
    forward, backward = run(cost_volume, first, second, (1, 2)), run(cost_volume, second, first, (1, 2))
    np.testing.assert_allclose(forward[0, 3, 4, 2, 0], backward[0, 4, 2, 0, 4], atol=1e-6)
    np.testing.assert_allclose(forward[:, 1:, 2:, 0, 0], backward[:, :-1, :-2, 2, 4], atol=1e-6)


def test_writes_into_an_array_of_the_caller(run: Run) -> None:
    pair = random_pair((1, 5, 6, 3))

    def into(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        result = cost_volume(a, b, 1, out=out)
        assert result is out
        return result

    result = run(into, *pair, np.zeros((1, 5, 6, 3, 3), np.float32))
    assert_matches_reference("cost_volume", result, cost_volume_reference(*pair, (1, 1)))
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(1, 5, 6, 3, 3\) float32 array"):
        run(into, *pair, np.zeros((1, 5, 6, 9), np.float32))


def test_does_not_write_to_a_read_only_array() -> None:
    out = np.zeros((1, 5, 6, 3, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="and writeable"):
        cost_volume(*random_pair((1, 5, 6, 3)), 1, out=out)


GOOD = np.ones((1, 4, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("first", "second", "radius", "error", "words"),
    [
        (GOOD.astype(np.float64), GOOD, 1, TypeError, "features0 must be float32 or float16, got float64"),
        (GOOD, GOOD.astype(np.uint8), 1, TypeError, "features1 must be float32 or float16, got uint8"),
        (GOOD[0], GOOD[0], 1, ValueError, r"must be \(N, H, W, C\), none of them 0, got shape \(4, 5, 3\)"),
        (GOOD[:, :0], GOOD[:, :0], 1, ValueError, r"none of them 0, got shape \(1, 0, 5, 3\)"),
        (GOOD, GOOD[:, :3], 1, ValueError, r"one shape, got \(1, 4, 5, 3\) and \(1, 3, 5, 3\)"),
        (GOOD, GOOD, 16, ValueError, r"each 0\.\.15, got 16"),
        (GOOD, GOOD, (1, -1), ValueError, r"got \(1, -1\)"),
        (GOOD, GOOD, (1, 2, 3), ValueError, r"got \(1, 2, 3\)"),
        (GOOD, GOOD, 1.0, ValueError, "got 1.0"),
        (GOOD, GOOD, True, ValueError, "got True"),
    ],
)
def test_refuses_what_does_not_fit(
    run: Run, first: np.ndarray, second: np.ndarray, radius: Any, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        run(cost_volume, first, second, radius)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 19, 16, 2), (1, 7, 3, 1)])
def test_refuses_features_that_are_not_finite(run: Run, value: float, place: tuple[int, ...]) -> None:
    good = np.ones((2, 20, 17, 3), np.float32)
    bad = good.copy()
    bad[place] = value
    with pytest.raises(ValueError, match="features0 must be finite"):
        run(cost_volume, bad, good, 1)
    with pytest.raises(ValueError, match="features1 must be finite"):
        run(cost_volume, good, bad, 1)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError, match="NumPy or CuPy array, got list"):
        cost_volume([[1]], GOOD, 1)
