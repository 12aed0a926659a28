"""Resized crops: the definition, copies, flips, channels, types, boxes at the border, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run
from references import resized_crop_reference
from tolerances import assert_matches_reference
from vidprep.kernels import resized_crop
from vidprep.kernels.cpu import resized_crop as on_cpu

TYPES = [np.uint8, np.int8, np.float16, np.float32]


def random_clips(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    limits = (-128, 128) if dtype == np.int8 else (0, 256)
    return np.random.default_rng(seed).integers(*limits, shape).astype(dtype)


def random_boxes(shape: tuple[int, ...], seed: int = 0, *, whole: bool = False) -> np.ndarray:
    """Boxes inside the frames, some of them touching their borders."""
    rng = np.random.default_rng(seed)
    clips, _, height, width, _ = shape
    sizes = 1 + rng.random((clips, 2)) * (height - 1, width - 1)
    places = rng.choice([0.0, 0.3, 1.0], (clips, 2)) * ((height, width) - sizes)
    boxes = np.concatenate([places, sizes], axis=1)
    return np.floor(boxes) if whole else boxes.astype(np.float32)


def every_other(clips: int) -> np.ndarray:
    return np.arange(clips) % 2 == 0


SHAPES = [  # of clips and of the result
    *(((2, 2, 11, 19, channels), (9, 13)) for channels in (1, 2, 3, 4, 5, 8, 20)),
    ((3, 1, 30, 50, 3), (16, 32)),
    ((1, 5, 13, 17, 3), (40, 35)),
    ((1, 1, 1, 1, 1), (1, 1)),
    ((1, 1, 1, 1, 3), (9, 20)),
    ((2, 1, 1, 40, 2), (5, 16)),
    ((2, 3, 40, 1, 2), (16, 5)),
    ((2, 1, 3, 2, 3), (8, 1)),
    ((1, 9, 60, 80, 3), (7, 8)),
]


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_equals_the_definition(run: Run, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    clips, boxes, flip = random_clips(shape), random_boxes(shape), every_other(shape[0])
    result = run(resized_crop, clips, boxes, size, flip=flip)
    assert result.dtype == np.float32
    assert_matches_reference("resized_crop", result, resized_crop_reference(clips, boxes, size, flip))


@pytest.mark.parametrize("result_type", [np.float32, np.float16])
@pytest.mark.parametrize("dtype", TYPES)
def test_types(run: Run, dtype: type, result_type: type) -> None:
    clips = random_clips((3, 2, 20, 30, 3), dtype)
    boxes = np.concatenate([random_boxes((2, 2, 20, 30, 3)), [[2, 3, 9, 16]]])
    result = run(resized_crop, clips, boxes, (9, 16), dtype=result_type)
    assert result.dtype == result_type
    assert_matches_reference("resized_crop", result, resized_crop_reference(clips, boxes, (9, 16)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 20])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_box_of_the_size_at_whole_pixels_copies(run: Run, dtype: type, channels: int) -> None:
    clips = random_clips((2, 3, 20, 33, channels), dtype)
    result = run(
        resized_crop, clips, np.array([[0, 0, 17, 19], [3, 14, 17, 19]]), (17, 19), flip=np.array([False, True])
    )
    channels_first = np.moveaxis(clips, -1, 1)
    np.testing.assert_array_equal(result[0], channels_first[0, ..., :17, :19])
    np.testing.assert_array_equal(result[1], channels_first[1, ..., 3:, 32:13:-1])


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, most) for most in (3, 3, 20, 30, 5))),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_invariants(run: Run, shape: tuple[int, ...], size: tuple[int, int], dtype: type, seed: int) -> None:
    clips, boxes, flip = random_clips(shape, dtype, seed), random_boxes(shape, seed), every_other(shape[0])
    result = run(resized_crop, clips, boxes, size, flip=flip)
    # the whole frame at its size is the frame, and a flip undoes a flip
    whole = np.tile((0, 0, *shape[2:4]), (shape[0], 1))
    mirrored = run(resized_crop, clips, whole, shape[2:4], flip=~flip, dtype=np.float32)
    np.testing.assert_array_equal(mirrored[~flip, ..., ::-1], np.moveaxis(clips, -1, 1)[~flip])
    np.testing.assert_array_equal(mirrored[flip], np.moveaxis(clips, -1, 1)[flip])
    np.testing.assert_array_equal(run(resized_crop, clips, boxes, size, flip=~flip)[..., ::-1], result)
    # a flat image stays flat, to the bit
    flat = np.broadcast_to(clips[:, :, :1, :1], shape)
    colours = np.broadcast_to(np.moveaxis(flat[:, :, :1, :1], -1, 1), result.shape)
    np.testing.assert_array_equal(run(resized_crop, flat, boxes, size, flip=flip), colours)
    # each clip by itself, each frame by itself: the same bits
    for n in range(shape[0]):
        alone = run(resized_crop, clips[n : n + 1, -1:], boxes[n : n + 1], size, flip=flip[n : n + 1])
        np.testing.assert_array_equal(alone[0, :, 0], result[n, :, -1])


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, most) for most in (4, 6, 30, 40, 5))),
    size=st.tuples(st.integers(1, 24), st.integers(1, 40)),
    types=st.tuples(st.sampled_from(TYPES), st.sampled_from([np.float32, np.float16])),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_bits_on_every_device(
    run_cuda: Run, shape: tuple[int, ...], size: tuple[int, int], types: tuple[type, type], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clips, boxes, flip = random_clips(shape, types[0], seed), random_boxes(shape, seed), every_other(shape[0])
    if np.dtype(types[0]).kind == "f":
        clips *= rng.standard_normal(shape).astype(types[0]) * types[0](10.0 ** rng.integers(-6, 2))
    chosen = {
        "flip": flip,
        "scale": rng.standard_normal((2, shape[4])),
        "offset": rng.standard_normal(shape[4]),
        "dtype": types[1],
    }
    np.testing.assert_array_equal(
        run_cuda(resized_crop, clips, boxes, size, **chosen), resized_crop(clips, boxes, size, **chosen)
    )


def test_halves_are_rounded_to_even_at_any_magnitude(run: Run) -> None:
    values = np.float32([0, 65504, 65519.99, 65520, 1e30, 2.0**-24, 2.0**-25, 2.0**-25 * 1.01, 6.1e-5, 1 + 2.0**-11,
                         1 + 3 * 2.0**-11, 2.0**-14 - 2.0**-26, 3e-41, np.inf])  # fmt: skip
    values = np.concatenate([values, -values])
    clips = values.reshape(1, 1, 1, -1, 1)
    box = [(0, 0, 1, values.size)]
    result = run(resized_crop, clips, box, (1, values.size), offset=-0.0, dtype=np.float16)  # -0 + 0 would be 0
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(result.reshape(-1).view(np.uint16), values.astype(np.float16).view(np.uint16))


def test_scale_and_offset_by_channel_and_by_flip(run: Run) -> None:
    clips = random_clips((2, 2, 10, 12, 3))
    boxes, flip = random_boxes(clips.shape), np.array([False, True])
    reference = resized_crop_reference(clips, boxes, (6, 7), flip)
    scale, offset = np.array([[1.0, 2.0, -3.0], [-1.0, 0.5, 0.0]]), np.array([0.0, 1.0, 2.0])
    result = run(resized_crop, clips, boxes, (6, 7), flip=flip, scale=scale / 4, offset=offset)
    expected = reference * scale.reshape(2, 3, 1, 1, 1) / 4 + offset.reshape(3, 1, 1, 1)
    assert_matches_reference("resized_crop", result, expected)
    result = run(resized_crop, clips, boxes, (6, 7), flip=flip, scale=0.5, offset=np.float32(-1))
    assert_matches_reference("resized_crop", result, reference / 2 - 1)


def test_boxes_see_the_pixels_around_them(run: Run) -> None:
    clips = np.arange(6, dtype=np.float32).reshape(1, 1, 1, 6, 1) ** 2
    result = run(resized_crop, clips, [(0, 2, 1, 2)], (1, 4))
    np.testing.assert_allclose(result.reshape(-1), [3.25, 5.25, 7.75, 10.75], atol=1e-6)
    at_border = run(resized_crop, clips, [(0, 4, 1, 2)], (1, 4))
    np.testing.assert_allclose(at_border.reshape(-1), [14.25, 18.25, 22.75, 25], atol=1e-6)


VIEWS = {  # in rows of one piece, and not
    "crop": np.s_[:, :, 2:18, 5:25],
    "every other clip": np.s_[::2, 1:],
    "repeated rows": np.s_[:, :, ::2],
    "backwards": np.s_[::-1, ::-1, ::-1],
    "mirrored": np.s_[:, :, :, ::-1],
    "channels reversed": np.s_[..., ::-1],
    "two channels": np.s_[..., :2],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_views_and_read_only_clips(run: Run, dtype: type, view: tuple) -> None:
    clips = random_clips((4, 3, 20, 30, 3), dtype)
    clips.flags.writeable = False
    copy = clips[view].copy()
    boxes = np.tile((1, 2, 9, 8), (len(copy), 1))
    result = run(lambda given: resized_crop(given[view], boxes, (9, 12)), clips)
    np.testing.assert_array_equal(result, resized_crop(copy, boxes, (9, 12)))


# Results that go around the cache: whole lines at once; lines that begin anywhere; rows and blocks that end anywhere.
@pytest.mark.parametrize("first", [0, 1, 16])
@pytest.mark.parametrize("size", [(16, 32), (20, 32), (20, 33), (9, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_large_results(monkeypatch: pytest.MonkeyPatch, dtype: type, size: tuple[int, int], first: int) -> None:
    clips = random_clips((2, 3, 40, 50, 3))
    boxes = np.concatenate([random_boxes((1, 3, 40, 50, 3)), [[4, 5, *size]]])
    expected = resized_crop(clips, boxes, size, dtype=dtype)
    monkeypatch.setattr(on_cpu, "LARGE", 0)
    memory = np.full(expected.size + 200, 7, dtype)
    begin = -memory.ctypes.data % 64 // memory.itemsize + first
    out = memory[begin : begin + expected.size].reshape(expected.shape)
    assert resized_crop(clips, boxes, size, dtype=dtype, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert (memory[:begin] == 7).all()
    assert (memory[begin + expected.size :] == 7).all()


def test_writes_into_a_file_in_memory(tmp_path: Path) -> None:
    clips = random_clips((1, 2, 9, 9, 3))
    expected = resized_crop(clips, [(0, 0, 9, 9)], (5, 5))
    out = np.lib.format.open_memmap(tmp_path / "clips.npy", "w+", np.float32, expected.shape)
    assert resized_crop(clips, [(0, 0, 9, 9)], (5, 5), out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_the_result_may_replace_the_frames(run: Run) -> None:
    clips = random_clips((2, 3, 8, 8, 4), np.float32)
    boxes = np.tile((0, 0, 8, 8), (2, 1))
    expected = run(resized_crop, clips, boxes, (8, 8))
    np.testing.assert_array_equal(
        run(lambda x: resized_crop(x, boxes, (8, 8), out=x.reshape(2, 4, 3, 8, 8)), clips.copy()), expected
    )


def test_boxes_may_overlap_the_border_by_rounding(run: Run) -> None:
    clips = random_clips((1, 1, 10, 12, 1))
    boxes = np.array([[-1e-4, 0, 10 + 1e-4, 12 + 1e-4]])
    result = run(resized_crop, clips, boxes, (10, 12))
    np.testing.assert_allclose(result[0, 0], clips[0, ..., 0], atol=0.1)


CLIPS = np.zeros((2, 3, 10, 12, 3), np.uint8)
BOXES = np.tile((0.0, 0.0, 10.0, 12.0), (2, 1))


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"frames": CLIPS.astype(np.int16)}, TypeError, "frames must be uint8, int8, float16 or float32, got int16"),
        ({"frames": CLIPS[0]}, ValueError, r"must be \(N, T, H, W, C\), none of them 0, got shape \(3, 10, 12, 3\)"),
        ({"frames": CLIPS[:, :0]}, ValueError, r"none of them 0, got shape \(2, 0, 10, 12, 3\)"),
        ({"boxes": BOXES[:1]}, ValueError, r"boxes must be \(2, 4\), \(y, x, h, w\) for each clip, got shape \(1, 4\)"),
        ({"boxes": BOXES.astype(str)}, TypeError, "boxes must be real numbers, got <U"),
        ({"boxes": BOXES * (1, 1, 1, np.nan)}, ValueError, r"frames of 10x12 pixels, got \(0.0, 0.0, 10.0, nan\)"),
        ({"boxes": BOXES * (1, 1, 0, 1)}, ValueError, r"some height and width inside .* got \(0.0, 0.0, 0.0, 12.0\)"),
        ({"boxes": BOXES - (0, 0, 11, 0)}, ValueError, r"got \(0.0, 0.0, -1.0, 12.0\) for clip 0"),
        ({"boxes": BOXES - [[0] * 4, [0, -1, 0, 0]]}, ValueError, r"got \(0.0, 1.0, 10.0, 12.0\) for clip 1"),
        ({"boxes": BOXES - (0.01, 0, 0, 0)}, ValueError, r"got \(-0.01, 0.0, 10.0, 12.0\)"),
        ({"boxes": BOXES * (1, 1, np.inf, 1)}, ValueError, r"got \(0.0, 0.0, inf, 12.0\)"),
        ({"boxes": [[1, 2], [3]]}, ValueError, r"boxes must be an array, got \[\[1, 2\], \[3\]\]"),
        ({"size": (0, 4)}, ValueError, r"size must be \(height, width\), each 1 to \d+ pixels, got \(0, 4\)"),
        ({"size": (4, 40000)}, ValueError, r"each 1 to 32768 pixels, got \(4, 40000\)"),
        ({"size": 112}, ValueError, r"size must be \(height, width\), .* got 112"),
        ({"size": (8.0, 4)}, ValueError, r"got \(8.0, 4\)"),
        ({"flip": np.array([1, 0])}, ValueError, r"flip must be \(2,\) bool, one for each clip, got \(2,\) int64"),
        ({"flip": True}, ValueError, r"flip must be \(2,\) bool"),
        ({"scale": np.ones(2)}, ValueError, r"scale must be a number, \(3,\) for each channel, or \(2, 3\) for clips"),
        ({"scale": "much"}, ValueError, "scale must be a number"),
        ({"offset": np.nan}, ValueError, "offset must be finite, got nan"),
        ({"offset": 1e39}, ValueError, "offset must be finite, got 1e"),
        ({"dtype": np.float64}, TypeError, "dtype must be float32 or float16, got <class 'numpy.float64'>"),
        ({"dtype": "half a float"}, TypeError, "dtype must be float32 or float16, got 'half a float'"),
    ],
)  # fmt: skip
def test_refuses_what_does_not_fit(run: Run, changed: dict, error: type, words: str) -> None:
    arguments = {"frames": CLIPS, "boxes": BOXES, "size": (5, 6), **changed}
    positional = [arguments.pop(name) for name in ("frames", "boxes", "size")]
    with pytest.raises(error, match=words) as caught:
        run(resized_crop, *positional, **arguments)
    assert "\n" not in str(caught.value)


def test_refuses_an_output_that_does_not_fit(run: Run) -> None:
    with pytest.raises(ValueError, match=r"out must be a C-contiguous \(2, 3, 3, 5, 6\) float32 array"):
        run(lambda x, out: resized_crop(x, BOXES, (5, 6), out=out), CLIPS, np.zeros((2, 3, 3, 5, 7), np.float32))
    out = np.zeros((2, 3, 3, 5, 6), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="and writeable"):
        resized_crop(CLIPS, BOXES, (5, 6), out=out)


def test_refuses_lists_of_frames() -> None:
    with pytest.raises(TypeError, match="frames must be a NumPy or CuPy array, got list"):
        resized_crop([[1]], BOXES, (5, 6))
