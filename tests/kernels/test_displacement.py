"""Displacement: equations, agreement with the cost volume, known motion, odd sizes, memory, bad input."""

from __future__ import annotations

import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from feature_pairs import SHAPES, random_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import cost_volume_reference, displacement_reference, winner_reference
from tolerances import assert_matches_reference
from vidprep.kernels import cost_volume, displacement
from vidprep.kernels.cpu._threads import set_num_threads


@cache  # for every temperature and device
def similarities_of(shape: tuple[int, ...], radius: tuple[int, int]) -> np.ndarray:
    return cost_volume_reference(*random_pair(shape), radius)


@pytest.mark.parametrize("temperature", [0.012, 0.02, 0.3, 10.0])  # an online softmax, and without
@pytest.mark.parametrize(("shape", "radius"), SHAPES)
def test_equals_equations_1_and_2(
    run: Run, shape: tuple[int, ...], radius: tuple[int, int], temperature: float
) -> None:
    pair = random_pair(shape)
    result = run(displacement, *pair, radius, temperature)
    assert result.dtype == np.float32
    reference = displacement_reference(similarities_of(shape, radius), temperature)
    assert_matches_reference("displacement", result, reference)


@pytest.mark.parametrize(("shape", "radius"), SHAPES)
def test_the_winner_has_the_highest_similarity(run: Run, shape: tuple[int, ...], radius: tuple[int, int]) -> None:
    pair = random_pair(shape)
    winner = run(displacement, *pair, radius, assignment="wta")
    assert winner.dtype == np.float32
    np.testing.assert_array_equal(winner, winner_reference(similarities_of(shape, radius)))


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 40), st.integers(1, 20)),
    radius=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    temperature=st.floats(0.02, 2.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_expectation_of_the_cost_volume(
    run: Run, shape: tuple[int, ...], radius: tuple[int, int], temperature: float, seed: int
) -> None:
    pair = random_pair(shape, seed)
    cost = run(cost_volume, *pair, radius).astype(np.float64)
    result = run(displacement, *pair, radius, temperature)
    assert_matches_reference("displacement", result, displacement_reference(cost, temperature))
    winner = run(displacement, *pair, radius, assignment="wta")
    np.testing.assert_array_equal(winner, winner_reference(cost))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_towards_temperature_0_soft_becomes_winner_take_all(run: Run, seed: int) -> None:
    pair = random_pair((1, 8, 19, 6), seed)
    cost = cost_volume_reference(*pair, (2, 3)).reshape(1, 8, 19, -1)
    best, second = np.sort(cost, axis=-1)[..., -1], np.sort(cost, axis=-1)[..., -2]
    clear = best - second > 1e-3
    soft = run(displacement, *pair, (2, 3), 1e-5)
    winner = run(displacement, *pair, (2, 3), assignment="wta")
    np.testing.assert_allclose(soft[clear], winner[clear], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scaling_features_pixel_by_pixel_changes_nothing(run: Run, seed: int) -> None:
    first, second = random_pair((1, 7, 19, 6), seed)
    rng = np.random.default_rng(seed)
    scales = np.exp2(rng.integers(-30, 31, (2, 1, 7, 19, 1))).astype(np.float32)
    result = run(displacement, first * scales[0], second * scales[1], 2, 0.05)
    np.testing.assert_allclose(result, run(displacement, first, second, 2, 0.05), rtol=0, atol=1e-4)


@pytest.mark.parametrize("motion", [(0, 0), (2, 1), (-3, 0), (1, -2)])
def test_a_shifted_texture(run: Run, motion: tuple[int, int]) -> None:
    dx, dy = motion
    texture = random_pair((1, 40, 50, 16))[0]
    first, second = texture[:, 5:35, 5:45], texture[:, 5 - dy : 35 - dy, 5 - dx : 45 - dx]
    for found in (run(displacement, first, second, 3, 0.01), run(displacement, first, second, 3, assignment="wta")):
        inner = found[:, 3:-3, 3:-3]
        np.testing.assert_allclose(inner, np.broadcast_to(np.float32(motion), inner.shape), atol=1e-4)
    back = run(displacement, second, first, 3, assignment="wta")
    np.testing.assert_array_equal(back[:, 6:-6, 6:-6], -found[:, 6:-6, 6:-6])  # swapped frames: negated motion


def test_motion_between_pixels_lies_between_its_neighbours(run: Run) -> None:
    x, k = np.arange(60.0)[:, None] / 4, np.arange(1, 6)
    first, second = (  # moved by half a pixel
        np.tile(np.concatenate([np.cos(k * place), np.sin(k * place)], axis=-1), (1, 9, 1, 1)).astype(np.float32)
        for place in (x, x - 0.125)
    )
    found = run(displacement, first, second, (0, 3), 0.01)[0, 4, 5:-5]
    np.testing.assert_allclose(found[:, 0], 0.5, atol=0.05)


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_no_motion_on_constant_features_is_exactly_zero(run: Run, channels: int) -> None:
    features = np.full((1, 30, 70, channels), 0.3, np.float32)
    assert not run(displacement, features, features, (3, 4), assignment="wta").any()
    assert not run(displacement, features, features, (3, 4))[:, 3:-3, 4:-4].any()


def test_of_equals_the_shortest_then_the_least_dy_then_the_least_dx(run: Run) -> None:
    first, second = np.zeros((2, 1, 5, 5, 2), np.float32)
    first[...], second[...] = (1, 0), (0, 1)
    for y, x in ((4, 4), (1, 1), (3, 2), (2, 3), (2, 1)):
        second[0, y, x] = (1, 0)
    assert run(displacement, first, second, 2, assignment="wta")[0, 2, 2].tolist() == [-1, 0]
    second[0, 1, 2] = (1, 0)
    assert run(displacement, first, second, 2, assignment="wta")[0, 2, 2].tolist() == [0, -1]
    second[0, 2, 2] = (1, 0)
    assert run(displacement, first, second, 2, assignment="wta")[0, 2, 2].tolist() == [0, 0]


def test_zero_features_do_not_move(run: Run) -> None:
    first, second = random_pair((1, 9, 20, 6))
    first[0, 4, 5] = 0
    assert not run(displacement, first, second, 2, assignment="wta")[0, 4, 5].any()
    np.testing.assert_allclose(run(displacement, first, second, 2)[0, 4, 5], 0, atol=1e-6)


def test_half_precision_features(run: Run) -> None:
    first, second = (features.astype(np.float16) for features in random_pair((1, 5, 6, 4)))
    reference = displacement_reference(cost_volume_reference(first, second, (2, 2)), 0.1)
    assert_matches_reference("displacement", run(displacement, first, second, 2, 0.1), reference)


def test_threads_give_the_same_bytes() -> None:
    pair = random_pair((2, 60, 70, 5))
    try:
        results = []
        for count in (1, 2, 5):
            set_num_threads(count)
            results.append(displacement(*pair, (2, 3)).tobytes())
    finally:
        set_num_threads(None)
    assert results[0] == results[1] == results[2]


def test_memory_grows_with_the_picture_only() -> None:
    pair = random_pair((1, 96, 128, 4))
    displacement(*pair, 15)  # this thread's buffers are there now
    tracemalloc.start()
    result = displacement(*pair, 15)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < result.nbytes + 1_000_000  # the cost volume would be 47 MB


GOOD = np.ones((1, 4, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, "at least 1e-06, got 0"),
        ({"temperature": -1.0}, "at least 1e-06, got -1.0"),
        ({"temperature": np.nan}, "at least 1e-06, got nan"),
        ({"temperature": np.inf}, "at least 1e-06, got inf"),
        ({"temperature": "warm"}, "at least 1e-06, got 'warm'"),
        ({"temperature": True}, "at least 1e-06, got True"),
        ({"assignment": "hard"}, "'soft' or 'wta', got 'hard'"),
        ({"radius": 16}, r"each 0\.\.15, got 16"),
    ],
)
def test_refuses_parameters_out_of_range(run: Run, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(displacement, GOOD, GOOD, **{"radius": 1, **options})


@pytest.mark.parametrize(
    ("first", "second", "error", "words"),
    [
        (GOOD.astype(np.float64), GOOD, TypeError, "features0 must be float32 or float16, got float64"),
        (GOOD[0], GOOD[0], ValueError, r"must be \(N, H, W, C\), none of them 0, got shape \(4, 5, 3\)"),
        (GOOD, GOOD[:, :3], ValueError, r"one shape, got \(1, 4, 5, 3\) and \(1, 3, 5, 3\)"),
        (GOOD * np.float32(np.nan), GOOD, ValueError, "features0 must be finite"),
        (GOOD, GOOD * np.float32(np.inf), ValueError, "features1 must be finite"),
    ],
)
def test_refuses_what_does_not_fit(run: Run, first: np.ndarray, second: np.ndarray, error: type, words: str) -> None:
    for assignment in ("soft", "wta"):
        with pytest.raises(error, match=words):
            run(displacement, first, second, 1, assignment=assignment)
