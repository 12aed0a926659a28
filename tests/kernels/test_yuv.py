"""YUV to RGB with resizing, on every device: equations, known truths, odd sizes, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import yuv_to_rgb_reference
from tolerances import assert_matches_reference
from vidprep.kernels import YuvFormat, yuv_to_rgb
from vidprep.kernels.yuv_tables import MATRICES, chroma_shape

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
GRAY = YuvFormat(matrix="gray", full_range=True, chroma_shift=(0, 0))


def random_planes(num_frames: int, shape: tuple[int, int], fmt: YuvFormat, seed: int = 0) -> Planes:
    """Return noise over the whole range of the samples."""
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if fmt.depth == 8 else np.uint16
    shapes = shape, chroma_shape(shape, fmt), chroma_shape(shape, fmt)
    y, u, v = (rng.integers(0, 2**fmt.depth, (num_frames, *plane), dtype) for plane in shapes)
    return y, u, v


def flat_planes(values: tuple[int, int, int], shape: tuple[int, int], fmt: YuvFormat) -> Planes:
    dtype = np.uint8 if fmt.depth == 8 else np.uint16
    shapes = shape, chroma_shape(shape, fmt), chroma_shape(shape, fmt)
    y, u, v = (np.full((1, *plane), value, dtype) for plane, value in zip(shapes, values, strict=True))
    return y, u, v


formats = st.builds(
    YuvFormat,
    matrix=st.sampled_from(MATRICES),
    full_range=st.booleans(),
    depth=st.sampled_from([8, 9, 10, 12, 16]),
    chroma_shift=st.sampled_from([(1, 1), (1, 0), (0, 0), (2, 0), (2, 2)]),
    siting=st.sampled_from(["left", "center"]),
)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 70))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (5, 7)),
        ((3, 5), (3, 5)),  # odd width with 4:2:0
        ((3, 5), (1, 1)),
        ((1, 37), (1, 9)),
        ((41, 1), (7, 1)),
        ((17, 23), (40, 67)),  # larger, by nothing that divides
        ((64, 96), (8, 12)),  # 8 times smaller
        ((67, 301), (9, 33)),
        ((5, 3000), (3, 40)),  # 32 output pixels need more columns than one chunk holds
        ((30, 40), (30, 20)),  # one axis alone
    ],
)
@pytest.mark.parametrize("depth", [8, 10])
def test_equals_the_equation(run: Run, shape: tuple[int, int], size: tuple[int, int], depth: int) -> None:
    fmt = YuvFormat(depth=depth)
    planes = random_planes(2, shape, fmt)
    result = run(yuv_to_rgb, *planes, size, fmt)
    assert result.dtype == np.uint8
    assert_matches_reference("yuv_to_rgb", result, yuv_to_rgb_reference(*planes, size, fmt))


@settings(max_examples=40, deadline=None)
@given(fmt=formats, shape=sizes, size=sizes)
def test_equals_the_equation_in_every_format(
    run: Run, fmt: YuvFormat, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    planes = random_planes(1, shape, fmt, seed=sum(shape))
    result = run(yuv_to_rgb, *planes, size, fmt)
    assert_matches_reference("yuv_to_rgb", result, yuv_to_rgb_reference(*planes, size, fmt))


@settings(max_examples=40, deadline=None)
@given(fmt=formats, shape=sizes, size=sizes, num_frames=st.integers(1, 3))
def test_cuda_and_cpu_agree_to_the_bit(
    run_cuda: Run, fmt: YuvFormat, shape: tuple[int, int], size: tuple[int, int], num_frames: int
) -> None:
    planes = random_planes(num_frames, shape, fmt, seed=sum(size))
    np.testing.assert_array_equal(run_cuda(yuv_to_rgb, *planes, size, fmt), yuv_to_rgb(*planes, size, fmt))


@settings(max_examples=25, deadline=None)
@given(shape=sizes, size=sizes, grey=st.integers(0, 255))
def test_flat_grey_stays_flat(run: Run, shape: tuple[int, int], size: tuple[int, int], grey: int) -> None:
    fmt = YuvFormat(full_range=True)
    assert (run(yuv_to_rgb, *flat_planes((grey, 128, 128), shape, fmt), size, fmt) == grey).all()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020", "smpte240m", "fcc"])
def test_black_and_white_are_exact(run: Run, matrix: str, full_range: bool) -> None:
    fmt = YuvFormat(matrix=matrix, full_range=full_range)
    for luma, expected in ((0, 0), (255, 255)) if full_range else ((16, 0), (235, 255), (0, 0), (255, 255)):
        assert (run(yuv_to_rgb, *flat_planes((luma, 128, 128), (4, 6), fmt), (3, 3), fmt) == expected).all()


@pytest.mark.parametrize(
    ("matrix", "full_range", "planes"),
    [
        ("bt601", False, [(81, 90, 240), (145, 54, 34), (41, 240, 110)]),
        ("bt709", False, [(63, 102, 240), (173, 42, 26), (32, 240, 118)]),
        ("bt601", True, [(76, 85, 255), (150, 44, 21), (29, 255, 107)]),  # JPEG
    ],
)
def test_primaries(run: Run, matrix: str, full_range: bool, planes: list[tuple[int, int, int]]) -> None:
    fmt = YuvFormat(matrix=matrix, full_range=full_range)
    for values, primary in zip(planes, 255 * np.eye(3), strict=True):
        rgb = run(yuv_to_rgb, *flat_planes(values, (6, 5), fmt), (4, 4), fmt)
        # the published 8-bit triples are themselves rounded: up to half a step, times a coefficient of about 2 each
        np.testing.assert_allclose(rgb, np.broadcast_to(primary, rgb.shape), atol=2)


@pytest.mark.parametrize("depth", [8, 9, 15, 16])
@pytest.mark.parametrize("width", [5, 40])  # the CPU takes narrow planes another way
def test_the_brightest_samples_do_not_wrap(run: Run, depth: int, width: int) -> None:
    fmt = YuvFormat(matrix="rgb", full_range=True, depth=depth, chroma_shift=(0, 0))
    peak = 2**depth - 1
    assert (run(yuv_to_rgb, *flat_planes((peak, peak, peak), (9, width), fmt), (9, width), fmt) == 255).all()


def test_planes_that_hold_rgb_pass_through(run: Run) -> None:
    fmt = YuvFormat(matrix="rgb", full_range=True, chroma_shift=(0, 0))
    planes = random_planes(2, (7, 9), fmt)
    np.testing.assert_array_equal(run(yuv_to_rgb, *planes, (7, 9), fmt), np.stack(planes, axis=-1))


def test_ten_bits_equal_eight_times_four(run: Run) -> None:
    fmt = YuvFormat()
    planes = random_planes(1, (19, 33), fmt)
    deeper = tuple(plane.astype(np.uint16) * 4 for plane in planes)
    result = run(yuv_to_rgb, *deeper, (8, 20), replace(fmt, depth=10))
    np.testing.assert_array_equal(result, run(yuv_to_rgb, *planes, (8, 20), fmt))


@pytest.mark.parametrize("width", [30, 50, 100, 170])
def test_a_ramp_stays_a_ramp_away_from_borders(run: Run, width: int) -> None:
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8) * 2, (1, 8, 100)).copy()
    rgb = run(yuv_to_rgb, ramp, ramp, ramp, (8, width), GRAY)
    expected = 2 * ((np.arange(width) + 0.5) * 100 / width - 0.5)
    away = slice(int(np.ceil(width / 20)), -int(np.ceil(width / 20)))
    np.testing.assert_allclose(rgb[0, :, away, 0], np.broadcast_to(expected, (8, width))[:, away], atol=0.75)


def test_siting_moves_chroma_by_a_quarter_of_its_sample(run: Run) -> None:
    luma = np.full((1, 4, 80), 128, np.uint8)
    chroma = np.broadcast_to(np.arange(40, dtype=np.uint8) * 4 + 50, (1, 2, 40)).copy()
    neutral = np.full((1, 2, 40), 128, np.uint8)
    left, center = (
        run(yuv_to_rgb, luma, neutral, chroma, (4, 80), YuvFormat(siting=siting, full_range=True))[0, 0, 8:-8, 0]
        for siting in ("left", "center")
    )
    # half a luma sample, on a ramp of 2 per luma sample, times the 1.402 of red in BT.601
    np.testing.assert_allclose(left.astype(float) - center, 1.402, atol=1)
    assert np.mean(left.astype(float) - center) == pytest.approx(1.402, abs=0.1)


def test_a_batch_is_its_frames(run: Run) -> None:
    fmt = YuvFormat()
    planes = random_planes(5, (21, 34), fmt)
    batch = run(yuv_to_rgb, *planes, (10, 13), fmt)
    for t in range(5):
        one = run(yuv_to_rgb, *(plane[t : t + 1] for plane in planes), (10, 13), fmt)
        np.testing.assert_array_equal(one[0], batch[t])


def test_a_grid_smaller_than_the_batch(run_cuda: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.kernels.cuda.yuv._MAX_GRID_Y", 2)
    planes = random_planes(5, (12, 20), YuvFormat())
    np.testing.assert_array_equal(
        run_cuda(yuv_to_rgb, *planes, (7, 9), YuvFormat()), yuv_to_rgb(*planes, (7, 9), YuvFormat())
    )


def test_planes_that_are_not_contiguous(run: Run) -> None:
    fmt = YuvFormat()
    wide = random_planes(2, (20, 64), fmt)
    narrow = [np.ascontiguousarray(plane[:, :, : -plane.shape[2] // 4]) for plane in wide]
    expected = run(yuv_to_rgb, *narrow, (9, 11), fmt)

    def of_rows_with_padding(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return yuv_to_rgb(y[:, :, :-16], u[:, :, :-8], v[:, :, :-8], (9, 11), fmt)

    np.testing.assert_array_equal(run(of_rows_with_padding, *wide), expected)


BYTES, WORDS = np.uint8, np.uint16


@pytest.mark.parametrize(
    ("shapes", "dtypes", "size", "depth", "error", "words"),
    [
        ([(1, 4, 4), (1, 2, 2), (1, 2, 2)], [WORDS, BYTES, BYTES], (2, 2), 8, TypeError, "y must be uint8 at a depth"),
        ([(1, 4, 4), (1, 2, 2), (1, 2, 2)], [WORDS, BYTES, WORDS], (2, 2), 10, TypeError, "u must be uint16"),
        ([(4, 4), (2, 2), (2, 2)], [BYTES] * 3, (2, 2), 8, ValueError, r"y must be \(T, H, W\)"),
        ([(0, 4, 4), (0, 2, 2), (0, 2, 2)], [BYTES] * 3, (2, 2), 8, ValueError, "not empty"),
        ([(1, 5, 5), (1, 2, 2), (1, 2, 2)], [BYTES] * 3, (2, 2), 8, ValueError, r"must be \(1, 3, 3\)"),
        ([(1, 4, 4), (1, 2, 2), (1, 2, 3)], [BYTES] * 3, (2, 2), 8, ValueError, r"must be \(1, 2, 2\)"),
        ([(2, 4, 4), (1, 2, 2), (1, 2, 2)], [BYTES] * 3, (2, 2), 8, ValueError, r"must be \(2, 2, 2\)"),
        ([(1, 4, 4), (1, 2, 2), (1, 2, 2)], [BYTES] * 3, (0, 2), 8, ValueError, "an integer from 1 to 1048576, got"),
    ],
)
def test_refuses_what_does_not_fit(
    run: Run, shapes: list, dtypes: list, size: tuple[int, int], depth: int, error: type, words: str
) -> None:
    planes = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    with pytest.raises(error, match=words):
        run(yuv_to_rgb, *planes, size, YuvFormat(depth=depth))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"matrix": "bt602"}, "matrix must be one of bt601, .*'bt602'"),
        ({"depth": 7}, "8 to 16 bits, got 7"),
        ({"chroma_shift": (3, 0)}, "two of 0, 1, 2"),
        ({"siting": "top"}, "left or center, got 'top'"),
    ],
)
def test_a_format_that_does_not_exist(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        YuvFormat(**wrong)
