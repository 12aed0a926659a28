"""Warping and the warped difference: equations, known motion, borders, odd sizes, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import warp_reference, warped_difference_reference
from tolerances import assert_matches_reference
from vidprep.kernels import warp, warped_difference

SHAPES = [
    *((9, 20, channels) for channels in range(1, 20)),  # every way of taking channels together
    (1, 1, 1),
    (1, 1, 20),
    (1, 40, 3),
    (40, 1, 3),
    (40, 1, 17),
    (2, 2, 1),
    (5, 16, 64),
    (3, 33, 130),
    (2, 33, 16),
    (3, 16, 48),
    (4, 15, 32),
]


def random_scene(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, *shape)).astype(np.float32)
    return first, second, rng.normal(0, 2, (*shape[:-1], 2)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_equation(run: Run, shape: tuple[int, ...]) -> None:
    first, second, flow = random_scene(shape)
    result = run(warp, first, flow)
    assert result.dtype == np.float32
    assert_matches_reference("warp", result, warp_reference(first, flow))
    result = run(warped_difference, first, second, flow)
    assert result.dtype == np.float32
    assert_matches_reference("warp", result, warped_difference_reference(first, second, flow))


def smooth_flow(shape: tuple[int, ...]) -> np.ndarray:
    """Motion that neighbours share, or nearly: whole vectors of pixels sample in one piece, in two, or in more."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.stack([3 * np.sin(x / 30 + y / 3), 4 * np.cos(x / 40 - y / 2)], -1).astype(np.float32)


@pytest.mark.parametrize("channels", [*range(1, 10), 16])
def test_equals_the_equation_for_smooth_motion(run: Run, channels: int) -> None:
    first, second, _ = random_scene((2, 7, 45, channels))
    flow = np.stack([smooth_flow((7, 45)), -smooth_flow((7, 45))])
    expected = np.stack([warp_reference(*pair) for pair in zip(first, flow, strict=True)])
    assert_matches_reference("warp", run(warp, first, flow), expected)
    expected = np.stack([warped_difference_reference(*three) for three in zip(first, second, flow, strict=True)])
    assert_matches_reference("warp", run(warped_difference, first, second, flow), expected)


@pytest.mark.parametrize(("name", "value"), [("LONGEST_FEW", 0), ("MASKED_LOADS", False)])
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 16, 64])
@pytest.mark.parametrize("smooth", [True, False])
def test_every_way_leads_to_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, channels: int, smooth: bool
) -> None:
    first, second, flow = random_scene((2, 19, 77, channels))
    flow = np.stack([smooth_flow((19, 77))] * 2) if smooth else flow
    expected = warp(first, flow).tobytes(), warped_difference(first, second, flow).tobytes()
    monkeypatch.setattr("vidprep.kernels.cpu.warp." + name, value)
    assert (warp(first, flow).tobytes(), warped_difference(first, second, flow).tobytes()) == expected


@pytest.mark.parametrize("channels", [3, 16, 48])
@pytest.mark.parametrize("large", [False, True])
def test_arrays_may_begin_anywhere(monkeypatch: pytest.MonkeyPatch, channels: int, large: bool) -> None:
    if large:
        monkeypatch.setattr("vidprep.kernels.cpu.warp.LARGE", 0)  # every result goes around the cache
    first, second, flow = random_scene((6, 37, channels))
    expected = warp(first, flow), warped_difference(first, second, flow)

    def begin_at(i: int, array: np.ndarray) -> np.ndarray:
        moved = np.full(i + array.size + 1, 7, np.float32)[i:-1].reshape(array.shape)
        moved[:] = array
        return moved

    for i in range(17):
        a, b, v, out = begin_at(i, first), begin_at(3 * i % 16, second), begin_at(i // 2, flow), begin_at(i, first)
        np.testing.assert_array_equal(warp(a, v, out=out), expected[0])
        assert warp(first, v, out=out).base[i - 1] == 7
        assert out.base[-1] == 7
        np.testing.assert_array_equal(warped_difference(a, b, v, out=out), expected[1])
        np.testing.assert_array_equal(warped_difference(a, b, v, out=b), expected[1])


def test_batches_of_any_shape(run: Run) -> None:
    first, second, flow = random_scene((2, 3, 6, 19, 5))
    expected = np.stack([[warp_reference(first[i, j], flow[i, j]) for j in range(3)] for i in range(2)])
    assert_matches_reference("warp", run(warp, first, flow), expected)
    difference = run(warped_difference, first[0, :1], second[0, :1], flow[0, :1])
    assert_matches_reference("warp", difference[0], warped_difference_reference(first[0, 0], second[0, 0], flow[0, 0]))


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 20)), seed=st.integers(0, 2**32 - 1))
def test_a_flow_of_zero_is_the_identity(run: Run, shape: tuple[int, ...], seed: int) -> None:
    first, second, flow = random_scene(shape, seed)
    still = np.zeros_like(flow)
    assert run(warp, first, still).tobytes() == first.tobytes()
    np.testing.assert_array_equal(run(warped_difference, first, second, still), second - first)
    assert not run(warped_difference, first, first, still).any()


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 20)), seed=st.integers(0, 2**32 - 1))
def test_the_difference_is_that_of_the_parts(run: Run, shape: tuple[int, ...], seed: int) -> None:
    first, second, flow = random_scene(shape, seed)
    np.testing.assert_array_equal(run(warped_difference, first, second, flow), second - run(warp, first, -flow))


@pytest.mark.parametrize("channels", range(1, 10))
def test_a_pixel_is_the_same_whatever_its_neighbours_do(channels: int) -> None:
    first, second, flow = random_scene((12, 90, channels))
    flow[:] = (1.3, -0.6)  # alike: whole vectors of pixels sample side by side
    disturbed = flow.copy()
    disturbed[:, ::7] = (-2.2, 3.4)
    same = np.arange(90) % 7 != 0
    np.testing.assert_array_equal(warp(first, flow)[:, same], warp(first, disturbed)[:, same])
    differences = (warped_difference(first, second, vectors)[:, same] for vectors in (flow, disturbed))
    np.testing.assert_array_equal(*differences)


@pytest.mark.parametrize("width", [15, 16, 17, 31, 33, 90, 360])
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_the_difference_may_replace_the_second_frame(width: int, channels: int) -> None:
    first, second, flow = random_scene((5, width, channels))
    expected = warped_difference(first, second, flow)
    np.testing.assert_array_equal(warped_difference(first, second, flow, out=second), expected)


@pytest.mark.parametrize("motion", [(3, 0), (-2, 4), (0, -1)])
def test_a_shifted_texture_comes_back_and_leaves_nothing(run: Run, motion: tuple[int, int]) -> None:
    dx, dy = motion
    texture = random_scene((60, 70, 3))[0]
    first, second = texture[10:50, 10:60], texture[10 - dy : 50 - dy, 10 - dx : 60 - dx]
    flow = np.broadcast_to(np.float32(motion), (40, 50, 2))
    inner = (slice(5, -5), slice(5, -5))
    np.testing.assert_array_equal(run(warp, second, flow)[inner], first[inner])
    assert not run(warped_difference, first, second, flow)[inner].any()


def test_half_a_pixel_is_the_mean_of_two(run: Run) -> None:
    features = random_scene((4, 20, 3))[0]
    flow = np.zeros((4, 20, 2), np.float32)
    flow[..., 0] = 0.5
    result = run(warp, features, flow)
    np.testing.assert_allclose(result[:, :-1], (features[:, :-1] + features[:, 1:]) / 2, atol=1e-6)
    assert not result[:, -1].any()


def test_the_image_ends_at_the_centres_of_its_last_pixels(run: Run) -> None:
    features = np.ones((3, 18, 2), np.float32)
    flow = np.zeros((3, 18, 2), np.float32)
    flow[0, 0] = (17, 2)  # exactly the last pixel
    flow[0, 1] = (16.001, 0)
    flow[1, 17] = (0, 1.001)
    flow[2, 0] = (-0.001, 0)
    flow[2, 1] = (0, -2.001)
    flow[1, 1] = (1e30, 0)
    flow[1, 2] = (np.inf, -np.inf)
    outside = [(0, 1), (1, 17), (2, 0), (2, 1), (1, 1), (1, 2)]
    expected = np.ones((3, 18))
    for y, x in outside:
        expected[y, x] = 0
    np.testing.assert_array_equal(run(warp, features, flow)[..., 0], expected)


def test_half_precision_views_and_read_only_arrays(run: Run) -> None:
    first, second, flow = (array.astype(np.float16) for array in random_scene((12, 20, 4)))
    first.flags.writeable = False

    def of_views(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        return warped_difference(a[::2, ::-1], b[::2, ::-1], v[::2, ::-1])

    expected = warped_difference_reference(first[::2, ::-1], second[::2, ::-1], flow[::2, ::-1])
    assert_matches_reference("warp", run(of_views, first, second, flow), expected)


@pytest.mark.parametrize("function", [warp, warped_difference])
@pytest.mark.parametrize("height", [60, 3000])  # the larger result goes around the cache
def test_writes_into_an_array_of_the_caller(function: Callable[..., np.ndarray], height: int) -> None:
    first, second, flow = random_scene((height, 48, 17))
    flow[-40:] = np.clip(flow[-40:], -9, 9)
    features = (first, second) if function is warped_difference else (first,)
    buffer = np.full(1 + first.size + 1, 7, np.float32)  # begins amid a cache line
    out = buffer[1:-1].reshape(first.shape)
    assert function(*features, flow, out=out) is out
    expected = function(*(array[-60:] for array in (*features, flow)))
    np.testing.assert_array_equal(out[-40:], expected[-40:])
    assert buffer[0] == buffer[-1] == 7


def test_refuses_an_output_that_does_not_fit(run: Run) -> None:
    first, _, flow = random_scene((4, 5, 3))
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(4, 5, 3\) float32 array"):
        run(lambda a, v, out: warp(a, v, out=out), first, flow, np.zeros((4, 5, 2), np.float32))


def test_does_not_write_to_a_read_only_array() -> None:
    first, _, flow = random_scene((4, 5, 3))
    out = np.zeros_like(first)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="and writeable"):
        warp(first, flow, out=out)
    assert not out.any()


def test_writes_into_a_file_in_memory(tmp_path: Path) -> None:
    first, _, flow = random_scene((4, 5, 3))
    out = np.lib.format.open_memmap(tmp_path / "warped.npy", "w+", np.float32, first.shape)
    assert warp(first, flow, out=out) is out
    np.testing.assert_array_equal(out, warp(first, flow))


def test_the_result_may_replace_what_it_is_made_of(run: Run) -> None:
    first, second, flow = random_scene((40, 30, 2))
    expected = run(warp, first, flow)
    np.testing.assert_array_equal(run(lambda a, v: warp(a, v, out=a), first.copy(), flow), expected)
    np.testing.assert_array_equal(run(lambda a, v: warp(a, v, out=v), first, flow.copy()), expected)
    expected = run(warped_difference, first[1:], second[:-1], flow[1:])
    np.testing.assert_array_equal(
        run(lambda a, b, v: warped_difference(a[1:], b[:-1], v[1:], out=b[1:]), first, second.copy(), flow), expected
    )
    expected = run(warped_difference, first, second, flow)
    np.testing.assert_array_equal(
        run(lambda a, b, v: warped_difference(a, b, v, out=a), first.copy(), second, flow), expected
    )


GOOD, STILL = np.ones((4, 5, 3), np.float32), np.zeros((4, 5, 2), np.float32)


@pytest.mark.parametrize(
    ("features", "flow", "error", "words"),
    [
        (GOOD.astype(np.uint8), STILL, TypeError, "features must be float32 or float16, got uint8"),
        (GOOD, STILL.astype(np.float64), TypeError, "flow must be float32 or float16, got float64"),
        (GOOD[0], STILL[0], ValueError, r"must be \(\.\.\., H, W, C\), none of them 0, got shape \(5, 3\)"),
        (GOOD[:, :0], STILL[:, :0], ValueError, r"none of them 0, got shape \(4, 0, 3\)"),
        (GOOD, STILL[:3], ValueError, r"flow must be \(4, 5, 2\) for features of shape \(4, 5, 3\), got \(3, 5, 2\)"),
        (GOOD, GOOD, ValueError, r"flow must be \(4, 5, 2\)"),
    ],
)
def test_refuses_what_does_not_fit(run: Run, features: np.ndarray, flow: np.ndarray, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run(warp, features, flow)


@pytest.mark.parametrize("place", [(0, 0), (3, 4), (8, 18)])
@pytest.mark.parametrize("channels", [3, 17, 32])
def test_refuses_nan(run: Run, place: tuple[int, int], channels: int) -> None:
    good, second, flow = random_scene((9, 19, channels))
    bad_flow, bad = flow.copy(), good.copy()
    bad_flow[place][1] = np.nan
    with pytest.raises(ValueError, match="flow must be free of NaN"):
        run(warp, good, bad_flow)
    for value in (np.nan, np.inf, -np.inf):
        bad[place][2] = value
        with pytest.raises(ValueError, match="features must be finite"):
            run(warp, bad, flow)
        with pytest.raises(ValueError, match="features0 must be finite"):
            run(warped_difference, bad, second, flow)
        with pytest.raises(ValueError, match="features1 must be finite"):
            run(warped_difference, good, bad, flow)


def test_refuses_frames_of_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(4, 5, 3\) and \(4, 4, 3\)"):
        warped_difference(GOOD, GOOD[:, :4], STILL)
