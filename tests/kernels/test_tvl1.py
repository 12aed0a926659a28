"""TV-L1 flow: its building blocks against their equations, the whole against the reference and known motions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvl1_layout import planes_of, values_of

from executors import Run, executor
from references import (
    median_reference,
    tvl1_data_term_reference,
    tvl1_flow_reference,
    tvl1_iteration_reference,
    tvl1_pyramid_reference,
)
from tolerances import assert_matches_reference
from tvl1_iterations import iterate
from vidprep.kernels import tvl1_flow, tvl1_flow_of_clip
from vidprep.kernels.cpu._team import new_team
from vidprep.kernels.cpu._threads import set_num_threads
from vidprep.kernels.cpu.tvl1_levels import make_buffers, make_plan, solve
from vidprep.kernels.cpu.tvl1_median import median_filter
from vidprep.kernels.cpu.tvl1_planes import pixels
from vidprep.kernels.cpu.tvl1_pyramid import build_pyramid, level_planes
from vidprep.kernels.cpu.tvl1_solver import MIN_BAND, N1, P11, STATE_PLANES
from vidprep.kernels.cpu.tvl1_warp import linearise
from vidprep.kernels.tvl1_parameters import PRESETS, TVL1Parameters, tvl1_parameters
from vidprep.kernels.tvl1_tables import level_sizes

SHAPES = [(1, 1), (1, 7), (9, 1), (2, 2), (5, 16), (7, 17), (33, 31), (64, 48)]
BANDED = (3 * MIN_BAND + 1, 60)  # large enough for several bands


@pytest.fixture(params=["cpu", "cuda"], scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """``run(function, *args)`` on each device; what the CUDA sources do on the CPU is in ``test_tvl1_cuda.py``."""
    return executor(request.param)


@pytest.fixture
def threads() -> Iterator[None]:
    """Let a test set the number of threads."""
    yield
    set_num_threads(None)


def texture(height: int, width: int, shift: tuple[float, float] = (0, 0), seed: int = 0) -> np.ndarray:
    """A sum of waves, 4 to 40 pixels long, that moves by ``shift`` (x, y): known at every sub-pixel position."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((height, width))
    for _ in range(40):
        length, angle, phase = np.exp(rng.uniform(np.log(4), np.log(40))), *rng.uniform(0, 2 * np.pi, 2)
        along = (x - shift[0]) * np.cos(angle) + (y - shift[1]) * np.sin(angle)
        total += length**0.5 * np.sin(2 * np.pi / length * along + phase)
    return (127.5 + 100 * total / 60).astype(np.float32)


def assert_flow_is(flow: np.ndarray, motion: tuple[float, float], epe: float, margin: int = 8) -> None:
    inside = flow[..., margin:-margin, margin:-margin, :]
    assert np.sqrt(((inside - motion) ** 2).sum(axis=-1)).mean() < epe


@pytest.mark.parametrize("size", [*SHAPES, BANDED])
@pytest.mark.parametrize("iterations", [1, 4, 21])
def test_iterations_equal_the_equations(size: tuple[int, int], iterations: int) -> None:
    rng = np.random.default_rng(0)
    lambda_, theta, tau = 0.2, 0.3, 0.25
    gradient = rng.normal(0, 5, (2, *size)).astype(np.float32)
    gradient[:, rng.random(size) < 0.1] = 0  # flat
    constant = rng.normal(0, 5, size).astype(np.float32) * gradient.any(axis=0)
    length = np.sqrt((gradient.astype(np.float64) ** 2).sum(axis=0))
    safe = np.where(length > 0, length, 1)
    u = rng.normal(0, 1, (2, *size)).astype(np.float32)
    expected_u, expected_p = u.astype(np.float64), np.zeros((2, 2, *size))
    before = expected_u
    for _ in range(iterations):
        before = expected_u
        expected_u, expected_p = tvl1_iteration_reference(
            expected_u, expected_p, gradient.astype(np.float64), constant.astype(np.float64), lambda_, theta, tau
        )
    results = []
    for bands in range(1, 1 + max(1, size[0] // MIN_BAND)):
        flow = planes_of(u)
        data = np.stack([*gradient / safe, constant / safe, lambda_ * theta * length]).astype(np.float32)
        state = np.zeros((size[0] + 4, STATE_PLANES, flow.shape[2]), np.float32)
        pixels(state, *size)[:, N1:] = data.transpose(1, 0, 2)
        change = iterate(flow, state, size, theta, tau / theta, iterations, bands)
        results.append((values_of(flow, size), values_of(state, size)[P11:N1], change))
    assert_matches_reference("tvl1_iteration", results[0][0], expected_u)
    assert_matches_reference("tvl1_iteration", results[0][1], expected_p.reshape(4, *size))
    assert results[0][2] == pytest.approx(((expected_u - before) ** 2).sum(axis=0).mean(), rel=1e-3, abs=1e-9)
    for other in results[1:]:  # bands change nothing
        np.testing.assert_array_equal(other[0], results[0][0])
        np.testing.assert_array_equal(other[1], results[0][1])
        assert other[2] == results[0][2]


@pytest.mark.parametrize("size", [*SHAPES, BANDED])
@pytest.mark.parametrize("reach", [0.0, 0.7, 5.0, 300.0])
def test_data_term_equals_the_equations(size: tuple[int, int], reach: float) -> None:
    rng = np.random.default_rng(1)
    image0, image1 = rng.uniform(0, 255, (2, *size)).astype(np.float32)
    u = (np.round(64 * rng.uniform(-reach, reach, (2, *size))) / 64).astype(np.float32)  # positions exact in float32
    state = np.zeros((size[0] + 4, STATE_PLANES, planes_of(u).shape[2]), np.float32)
    linearise(
        planes_of(image0[None]), planes_of(image1[None]), planes_of(u), state, *size, np.float32(0.06), 0, size[0]
    )
    result = values_of(state, size)
    gradient, constant = tvl1_data_term_reference(image0, image1, u)
    length = np.sqrt((gradient**2).sum(axis=0))
    speaks = length > 1e-3
    inverse = np.where(speaks, 1 / np.where(speaks, length, 1), 0)
    expected = np.stack([*gradient * inverse, constant * inverse, 0.06 * length * speaks])
    close = length * speaks > 1  # where the gradient is all but zero, rounding decides on its direction
    assert_matches_reference("tvl1_data_term", result[N1:] * close, expected * close)
    assert not result[P11:N1].any()
    assert not result[N1:, ~speaks].any()


@pytest.mark.parametrize("size", [*SHAPES, BANDED])
@pytest.mark.parametrize("median_size", [3, 5])
def test_median_equals_sorting(size: tuple[int, int], median_size: int) -> None:
    rng = np.random.default_rng(2)
    for u in (rng.normal(size=(2, *size)), rng.integers(-2, 3, (2, *size))):
        values = u.astype(np.float32)
        out = np.zeros_like(planes_of(values))
        for rows in ((0, size[0] // 3), (size[0] // 3, size[0])):
            median_filter(planes_of(values), out, *size, median_size, *rows)
        assert_matches_reference("tvl1_median", values_of(out, size), median_reference(values, median_size))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 33), (67, 130)])
@pytest.mark.parametrize(("scale_factor", "sigma"), [(0.5, 0.0), (0.5, 0.8), (0.7, 0.5), (0.8, 0.4), (0.95, 2.0)])
def test_pyramid_equals_dense_matrices(size: tuple[int, int], scale_factor: float, sigma: float) -> None:
    frame = np.random.default_rng(3).uniform(0, 255, size).astype(np.float32)
    sizes = level_sizes(*size, 5, scale_factor)
    levels = level_planes(build_pyramid(frame, sizes, scale_factor, sigma), sizes)
    expected = tvl1_pyramid_reference(frame, sizes, scale_factor, sigma)
    assert len(levels) == len(expected)
    for level, reference, level_size in zip(levels, expected, sizes, strict=True):
        assert_matches_reference("tvl1_pyramid", values_of(level, level_size)[0], reference)


def test_pyramids_stop_in_time() -> None:
    assert level_sizes(480, 640, 10, 0.5) == [(480, 640), (240, 320), (120, 160), (60, 80), (30, 40)]
    assert level_sizes(480, 640, 2, 0.5) == [(480, 640), (240, 320)]
    assert level_sizes(1, 1000, 10, 0.5) == [(1, 1000)]


@pytest.mark.parametrize("median_size", [1, 3, 5])
def test_flow_equals_the_reference(run: Run, median_size: int) -> None:
    size = (41, 54)
    frames = texture(*size)[None], texture(*size, (1.3, -0.8))[None]
    chosen = {"max_iterations": 7, "inner_iterations": 3, "epsilon": 0.0, "num_warps": 2, "median_size": median_size}
    result = run(lambda a, b: tvl1_flow(a, b, **chosen), *frames)
    parameters = tvl1_parameters(**chosen)
    sizes = level_sizes(*size, parameters.num_scales, parameters.scale_factor)
    assert len(sizes) > 2
    expected = tvl1_flow_reference(frames[0][0], frames[1][0], sizes, parameters)
    assert result.dtype == np.float32
    assert_matches_reference("tvl1_flow", result[0], expected)


@pytest.mark.parametrize("preset", ["fast", "accurate"])
@pytest.mark.parametrize("motion", [(1, 0), (0, -2), (5, 3), (0.4, -0.6), (-7.3, 4.8)])
def test_finds_how_a_texture_moves(run: Run, preset: str, motion: tuple[float, float]) -> None:
    frames0, frames1 = texture(80, 100)[None], texture(80, 100, motion)[None]
    flow = run(lambda a, b: tvl1_flow(a, b, preset), frames0, frames1)
    assert flow.shape == (1, 80, 100, 2)
    assert_flow_is(flow, motion, 0.05, margin=12)


def test_finds_how_a_rolled_picture_moves_in_whole_pixels(run: Run) -> None:
    frames0 = np.random.default_rng(4).integers(0, 256, (1, 70, 90)).astype(np.uint8)
    frames0 = ((frames0.astype(int) + np.roll(frames0, 1, 1) + np.roll(frames0, 1, 2)) // 3).astype(np.uint8)
    flow = run(tvl1_flow, frames0, np.roll(frames0, (1, 2), (1, 2)))
    assert_flow_is(flow, (2, 1), 0.05, margin=12)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50), preset=st.sampled_from(sorted(PRESETS)))
def test_without_motion_the_flow_is_exactly_zero(run: Run, height: int, width: int, preset: str) -> None:
    frames = np.random.default_rng(height * 64 + width).integers(0, 256, (2, height, width)).astype(np.uint8)
    assert not run(lambda a, b: tvl1_flow(a, b, preset, num_warps=2), frames, frames).any()


@settings(max_examples=10, deadline=None)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3), seed=st.integers(0, 99))
def test_swapping_the_frames_of_a_translation_negates_its_flow(run: Run, x: float, y: float, seed: int) -> None:
    frames0, frames1 = texture(64, 72, seed=seed)[None], texture(64, 72, (x, y), seed=seed)[None]
    difference = run(tvl1_flow, frames0, frames1) + run(tvl1_flow, frames1, frames0)
    assert_flow_is(difference, (0, 0), 0.05, margin=12)


@pytest.mark.parametrize("size", SHAPES)
def test_any_size_and_a_batch(run: Run, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(5).integers(0, 256, (4, *size)).astype(np.uint8)
    both = run(tvl1_flow, frames[:3], frames[1:])
    assert both.shape == (3, *size, 2)
    assert np.isfinite(both).all()
    for i in range(3):  # pairs have no influence on each other
        np.testing.assert_array_equal(run(tvl1_flow, frames[i : i + 1], frames[i + 1 : i + 2])[0], both[i])


@pytest.mark.parametrize("step", [1, 3])
def test_a_clip_is_its_pairs(run: Run, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.stack([texture(40, 48, (0.5 * t, 0.2 * t)) for t in range(9)])
    pairs = run(tvl1_flow, frames[:-step], frames[step:])
    np.testing.assert_array_equal(run(lambda x: tvl1_flow_of_clip(x, step), frames), pairs)
    monkeypatch.setattr("vidprep.kernels.cpu.tvl1._REACH", 0)  # pyramids come and go
    np.testing.assert_array_equal(run(lambda x: tvl1_flow_of_clip(x, step), frames), pairs)


def test_each_pyramid_of_a_clip_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def counted(frame: np.ndarray, *args: object) -> np.ndarray:
        built.append(frame[0, 0])
        return build_pyramid(frame, *args)

    monkeypatch.setattr("vidprep.kernels.cpu.tvl1.build_pyramid", counted)
    frames = np.zeros((12, 6, 6), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None]
    tvl1_flow_of_clip(frames, 2)
    assert sorted(built) == list(range(12))


@pytest.mark.parametrize("count", [1, 3])
def test_threads_change_nothing(count: int, threads: None) -> None:
    frames = np.stack([texture(180, 190, (0.8 * t, -0.5 * t)) for t in range(5)])
    set_num_threads(1)
    expected = tvl1_flow_of_clip(frames)
    set_num_threads(count + 1)
    np.testing.assert_array_equal(tvl1_flow_of_clip(frames), expected)
    np.testing.assert_array_equal(tvl1_flow(frames[:1], frames[1:2]), expected[:1])


def test_bytes_and_floats_are_alike(run: Run) -> None:
    frames = np.random.default_rng(6).integers(0, 256, (2, 40, 41)).astype(np.uint8)
    expected = run(tvl1_flow, frames[:1], frames[1:])
    floats = frames.astype(np.float32)
    np.testing.assert_array_equal(run(tvl1_flow, floats[:1], floats[1:]), expected)


def test_frames_that_are_not_contiguous(run: Run) -> None:
    frames = np.random.default_rng(7).integers(0, 256, (2, 40, 42)).astype(np.uint8)
    result = run(lambda x: tvl1_flow_of_clip(x[:, ::2, ::-1]), frames)
    expected = run(tvl1_flow_of_clip, np.ascontiguousarray(frames[:, ::2, ::-1]))
    np.testing.assert_array_equal(result, expected)


def test_ends_when_it_has_converged() -> None:
    size = (40, 40)
    images = [build_pyramid(texture(*size, shift), [size], 0.5, 0.5) for shift in ((0, 0), (0.3, 0.1))]

    def iterations(epsilon: float) -> int:
        chosen = tvl1_parameters(num_warps=1, inner_iterations=10, max_iterations=95, epsilon=epsilon)
        out = np.empty((*size, 2), np.float32)
        return solve(new_team(), 1, make_plan([size], chosen), make_buffers(size), *images, out)

    assert iterations(0.0) == 95
    assert iterations(0.01) in range(10, 90, 10)
    assert iterations(1.0) == 10


GOOD = np.zeros((2, 8, 9), np.uint8)


@pytest.mark.parametrize(
    ("frames0", "frames1", "error", "words"),
    [
        (GOOD.astype(np.float64), GOOD, TypeError, "frames0 must be uint8 or float32, got float64"),
        (GOOD, GOOD.astype(np.int16), TypeError, "frames1 must be uint8 or float32, got int16"),
        (GOOD, GOOD.astype(np.float32), ValueError, "same shape and type"),
        (GOOD[0], GOOD[0], ValueError, r"frames0 must be \(N, H, W\) and not empty, got shape \(8, 9\)"),
        (GOOD[..., None], GOOD[..., None], ValueError, r"frames0 must be \(N, H, W\)"),
        (GOOD[:0], GOOD[:0], ValueError, "not empty"),
        (GOOD[:, :0], GOOD[:, :0], ValueError, "not empty"),
        (GOOD[:1], GOOD, ValueError, "same shape and type"),
        (np.full((1, 4, 4), np.nan, np.float32), np.zeros((1, 4, 4), np.float32), ValueError, "frames0 must be finite"),
        (np.zeros((1, 4, 4), np.float32), np.full((1, 4, 4), np.inf, np.float32), ValueError, "frames1 must be finite"),
        (np.full((1, 4, 4), -1e30, np.float32), np.zeros((1, 4, 4), np.float32), ValueError, r"at most 1e\+06 in size"),
    ],
)
def test_refuses_frames_that_do_not_fit(
    run: Run, frames0: np.ndarray, frames1: np.ndarray, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        run(tvl1_flow, frames0, frames1)


@pytest.mark.parametrize(
    ("step", "words"), [(0, "positive integer"), (True, "positive integer"), (2, "at least 3 frames")]
)
def test_refuses_steps_that_do_not_fit(run: Run, step: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(lambda x: tvl1_flow_of_clip(x, step), GOOD)


def test_the_flow_of_a_clip_goes_where_one_says(run: Run) -> None:
    frames = np.random.default_rng(8).integers(0, 256, (4, 20, 21)).astype(np.uint8)
    expected = run(tvl1_flow_of_clip, frames)
    out = np.full_like(expected, np.nan)
    np.testing.assert_array_equal(run(lambda x, y: tvl1_flow_of_clip(x, out=y), frames, out), expected)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((1, 8, 9, 2)), np.zeros((2, 8, 9, 2), np.float32), np.zeros((1, 8, 9, 4), np.float32)[..., ::2],
        np.broadcast_to(np.float32(0), (1, 8, 9, 2)),
    ],
)  # fmt: skip
def test_refuses_places_that_do_not_fit(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(1, 8, 9, 2\) float32 array"):
        tvl1_flow_of_clip(GOOD, out=out)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError, match="NumPy or CuPy array, got list"):
        tvl1_flow([[[1]]], GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tau", 0), ("tau", 0.3), ("lambda_", 0), ("lambda_", float("nan")), ("theta", -1), ("theta", "0.3"),
        ("epsilon", -0.1), ("scale_factor", 1), ("scale_factor", 0), ("presmoothing_sigma", -1), ("median_size", 2),
        ("median_size", 7), ("median_size", True), ("median_size", 3.0),
        ("num_warps", 0), ("max_iterations", 1.5), ("inner_iterations", True), ("num_scales", 0),
    ],
)  # fmt: skip
def test_refuses_parameters_out_of_range(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        tvl1_flow(GOOD, GOOD, **{name: value})


def test_refuses_unknown_names() -> None:
    with pytest.raises(TypeError, match=r"no TV-L1 parameter lambda: there are tau, lambda_"):
        tvl1_flow(GOOD, GOOD, **{"lambda": 0.2})
    with pytest.raises(ValueError, match=r"preset must be one of 'fast', 'accurate', got 'best'"):
        tvl1_flow(GOOD, GOOD, "best")
    with pytest.raises(ValueError, match=r"preset must be one of 'fast', 'accurate', got \['fast'\]"):
        tvl1_flow(GOOD, GOOD, ["fast"])


def test_presets_and_their_changes() -> None:
    assert tvl1_parameters("accurate") == PRESETS["accurate"]
    assert tvl1_parameters(tau=0.2) == TVL1Parameters(tau=0.2)
