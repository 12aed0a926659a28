"""The residual kernel on every device: equations, known truths, odd sizes, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import residual_reference
from tolerances import assert_matches_reference
from vidprep.kernels import residual

FORMS = [
    (np.uint8, False, np.uint8),
    (np.uint8, True, np.int16),
    (np.float32, False, np.float32),
    (np.float32, True, np.float32),
]


def random_frames(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype is np.uint8:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.uniform(-255, 255, shape).astype(np.float32)


@pytest.mark.parametrize(("dtype", "signed", "result_dtype"), FORMS)
@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((2, 1, 1, 1), 1),
        ((2, 1, 1, 3), 1),
        ((4, 3, 5, 3), 1),  # a frame is 45 samples: the two streams are never aligned alike
        ((5, 3, 5, 3), 4),  # T = step + 1
        ((6, 1, 67, 1), 2),
        ((7, 9, 16, 3), 3),  # 432 samples a frame: aligned, and no tail
        ((3, 9, 20, 3), 2),
        ((18, 16, 17, 3), 16),  # aligned by the step only
        ((3, 70, 64, 3), 1),  # several blocks
    ],
)
def test_equals_the_equation(
    run: Run, shape: tuple[int, ...], step: int, dtype: type, signed: bool, result_dtype: type
) -> None:
    frames = random_frames(shape, dtype)
    result = run(residual, frames, step, signed)
    assert result.dtype == result_dtype
    assert_matches_reference("residual", result, residual_reference(frames, step, signed))


@pytest.mark.parametrize("offset", [1, 2, 7, 16])
@pytest.mark.parametrize(("dtype", "signed", "_"), FORMS)
def test_frames_that_begin_anywhere_in_memory(run: Run, offset: int, dtype: type, signed: bool, _: type) -> None:
    samples = random_frames((offset + 4 * 16 * 8 * 3,), dtype)

    def of_a_view(array: np.ndarray) -> np.ndarray:
        return residual(array[offset:].reshape(4, 16, 8, 3), 1, signed)

    expected = residual_reference(samples[offset:].reshape(4, 16, 8, 3), 1, signed)
    assert_matches_reference("residual", run(of_a_view, samples), expected)


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("offset", [0, 1, 4, 62])  # bytes: results of more than one are not even aligned to themselves
@pytest.mark.parametrize("pixels", [21, 64, 65, 1000])
@pytest.mark.parametrize(("dtype", "signed", "result_dtype"), FORMS)
def test_results_that_begin_anywhere_in_memory_or_go_around_the_cache(
    dtype: type,
    signed: bool,
    result_dtype: type,
    pixels: int,
    offset: int,
    around: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vidprep.kernels.cpu.residual._CACHE", 0 if around else 1 << 40)
    frames = random_frames((3, pixels, 1, 1), dtype)
    size = 2 * pixels * np.dtype(result_dtype).itemsize
    memory = np.full(size + 256, 77, np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    residual(frames, 1, signed, out=memory[begin : begin + size].view(result_dtype).reshape(2, pixels, 1, 1))
    result = memory[begin : begin + size].copy().view(result_dtype).reshape(2, pixels, 1, 1)
    assert_matches_reference("residual", result, residual_reference(frames, 1, signed))
    assert (memory[:begin] == 77).all()
    assert (memory[begin + size :] == 77).all()


def test_frames_that_are_not_contiguous(run: Run) -> None:
    frames = random_frames((4, 12, 14, 3))
    result = run(lambda x: residual(x[:, ::2, ::-1]), frames)
    assert_matches_reference("residual", result, residual_reference(frames[:, ::2, ::-1]))


@pytest.mark.parametrize(("dtype", "signed", "_"), FORMS)
def test_still_frames_leave_nothing(run: Run, dtype: type, signed: bool, _: type) -> None:
    frames = np.repeat(random_frames((1, 11, 13, 3), dtype), 4, axis=0)
    assert not run(residual, frames, 1, signed).any()


def test_extremes_do_not_wrap(run: Run) -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    frames[1] = 255
    assert (run(residual, frames) == 255).all()
    signed = run(residual, frames, 1, True)
    assert (signed[0] == 255).all()
    assert (signed[1] == -255).all()


def test_a_moving_square_leaves_its_two_edges(run: Run) -> None:
    frames = np.zeros((2, 8, 8, 1), np.uint8)
    frames[0, 2:5, 2:5] = 200
    frames[1, 2:5, 3:6] = 200
    expected = np.zeros((8, 8), np.uint8)
    expected[2:5, [2, 5]] = 200
    np.testing.assert_array_equal(run(residual, frames)[0, ..., 0], expected)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 7), st.integers(1, 9), st.integers(1, 40), st.integers(1, 4)),
    form=st.sampled_from(FORMS),
    data=st.data(),
)
def test_reversing_time_mirrors_the_result(run: Run, shape: tuple[int, ...], form: tuple, data: st.DataObject) -> None:
    dtype, signed, _ = form
    step = data.draw(st.integers(1, shape[0] - 1))
    frames = random_frames(shape, dtype, seed=sum(shape))
    forward = run(residual, frames, step, signed)
    backward = run(residual, np.ascontiguousarray(frames[::-1]), step, signed)
    np.testing.assert_array_equal(backward, (-forward if signed else forward)[::-1])


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 7), st.integers(1, 9), st.integers(1, 40), st.integers(1, 4)),
    form=st.sampled_from(FORMS),
    data=st.data(),
)
def test_cuda_and_cpu_agree_to_the_bit(run_cuda: Run, shape: tuple[int, ...], form: tuple, data: st.DataObject) -> None:
    dtype, signed, _ = form
    step = data.draw(st.integers(1, shape[0] - 1))
    frames = random_frames(shape, dtype, seed=sum(shape))
    expected = residual(frames, step, signed)
    result = run_cuda(residual, frames, step, signed)
    assert result.dtype == expected.dtype
    assert result.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("dtype", "signed", "result_dtype"), FORMS)
def test_writes_into_an_array_of_the_caller(run: Run, dtype: type, signed: bool, result_dtype: type) -> None:
    frames = random_frames((4, 5, 6, 3), dtype)

    def into(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        result = residual(x, 1, signed, out=out)
        assert result is out
        return result

    result = run(into, frames, np.zeros((3, 5, 6, 3), result_dtype))
    assert_matches_reference("residual", result, residual_reference(frames, 1, signed))


@pytest.mark.parametrize(("shape", "dtype"), [((4, 5, 6, 3), np.uint8), ((3, 5, 6, 3), np.int16)])
def test_refuses_an_output_that_does_not_fit(run: Run, shape: tuple[int, ...], dtype: type) -> None:
    frames = random_frames((4, 5, 6, 3))
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(3, 5, 6, 3\) uint8 array"):
        run(lambda x, out: residual(x, out=out), frames, np.zeros(shape, dtype))


def test_does_not_write_to_a_read_only_array() -> None:
    out = np.zeros((3, 5, 6, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="and writeable"):
        residual(random_frames((4, 5, 6, 3)), out=out)
    assert not out.any()


@pytest.mark.parametrize("shape", [(5, 64, 64, 3), (5, 61, 63, 3)])  # in vectors, and sample by sample
def test_a_grid_smaller_than_the_frames(run_cuda: Run, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.kernels.cuda.residual._MAX_BLOCKS", 2)
    frames = random_frames(shape)
    np.testing.assert_array_equal(run_cuda(residual, frames, 2, True), residual(frames, 2, True))


@pytest.mark.parametrize(
    ("frames", "step", "error", "words"),
    [
        (np.zeros((3, 4, 4, 3), np.float64), 1, TypeError, "uint8 or float32, got float64"),
        (np.zeros((3, 4, 4, 3), np.int16), 1, TypeError, "uint8 or float32, got int16"),
        (np.zeros((3, 4, 4), np.uint8), 1, ValueError, r"\(T, H, W, C\), got shape \(3, 4, 4\)"),
        (np.zeros((3, 4, 4, 3), np.uint8), 0, ValueError, "positive integer, got 0"),
        (np.zeros((3, 4, 4, 3), np.uint8), -1, ValueError, "positive integer, got -1"),
        (np.zeros((3, 4, 4, 3), np.uint8), 1.0, ValueError, "positive integer, got 1.0"),
        (np.zeros((3, 4, 4, 3), np.uint8), True, ValueError, "positive integer, got True"),
        (np.zeros((3, 4, 4, 3), np.uint8), 3, ValueError, "needs at least 4 frames, got 3"),
    ],
)
def test_refuses_what_does_not_fit(run: Run, frames: np.ndarray, step: int, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run(residual, frames, step)


def test_refuses_what_is_no_array() -> None:
    with pytest.raises(TypeError, match="NumPy or CuPy array, got list"):
        residual([[1]])
