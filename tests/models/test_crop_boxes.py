"""Boxes: their sizes and places, how often each, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidprep.models.crop_boxes import CropRule, flips
from vidprep.pipeline.errors import UsageError

MANY = np.arange(4000)
ONE_EPOCH = np.zeros_like(MANY)
SCALES = (1, 0.875, 0.75, 0.66)


def boxes_of(rule: CropRule, frame_size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return rule.boxes(seed, ONE_EPOCH, MANY, frame_size)


@settings(max_examples=60, deadline=None)
@given(
    frame=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    place=st.sampled_from(["random", "corners", "center"]),
    scales=st.none() | st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=5).map(tuple),
    jitter=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**64 - 1),
)
def test_boxes_are_inside_the_frame(frame, size, place, scales, jitter, seed) -> None:  # type: ignore[no-untyped-def]
    rule = CropRule(size=size, place=place, scales=scales, aspect_jitter=jitter)
    try:
        boxes = rule.boxes(seed, ONE_EPOCH[:50], MANY[:50], frame)
    except UsageError:
        assert scales is None
        assert size[0] > frame[0] or size[1] > frame[1]
        return
    assert boxes.shape == (50, 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= frame).all()
    shuffled = np.random.default_rng(0).permutation(50)
    np.testing.assert_array_equal(rule.boxes(seed, ONE_EPOCH[:50], shuffled, frame), boxes[shuffled])


def test_random_places_are_equally_likely() -> None:
    boxes = boxes_of(CropRule(size=(112, 112)), (114, 115))
    assert (boxes[:, 2:] == 112).all()
    places, counts = np.unique(boxes[:, :2], axis=0, return_counts=True)
    assert len(places) == 3 * 4
    assert counts.min() > 0.8 * 4000 / 12


def test_four_corners_and_the_centre_are_equally_likely() -> None:
    boxes = boxes_of(CropRule(size=(112, 112), place="corners"), (128, 171))
    places, counts = np.unique(boxes[:, :2], axis=0, return_counts=True)
    np.testing.assert_array_equal(places, [[0, 0], [0, 59], [8, 29], [16, 0], [16, 59]])
    assert counts.min() > 0.9 * 4000 / 5


def test_the_scales_of_temporal_segment_networks() -> None:
    # A short side of 256: 256, 224, 192, 168, as paper D lists them; neighbours in this list, or equal.
    boxes = boxes_of(CropRule(size=(224, 224), place="corners", scales=SCALES), (256, 340))
    pairs, counts = np.unique(boxes[:, 2:], axis=0, return_counts=True)
    sides = [256, 224, 192, 168]
    expected = [(a, b) for i, a in enumerate(sides) for j, b in enumerate(sides) if abs(i - j) <= 1]
    assert sorted(map(tuple, pairs.tolist())) == sorted(expected)
    assert counts.min() > 0.75 * 4000 / len(expected)
    ends = boxes[:, :2] + boxes[:, 2:]
    at_corner = ((boxes[:, :2] == 0) | (ends == (256, 340))).all(axis=1)
    at_centre = (boxes[:, :2] == (np.array((256, 340)) - boxes[:, 2:]) // 2).all(axis=1)
    assert (at_corner | at_centre).all()


def test_scales_keep_the_proportions_of_the_result() -> None:
    boxes = boxes_of(CropRule(size=(60, 80), scales=(1.0,)), (128, 171))
    assert {tuple(box) for box in boxes[:, 2:].tolist()} == {(128, 170)}  # 170.67 in pixels


def test_aspect_jitter_is_of_each_side_by_itself() -> None:
    boxes = boxes_of(CropRule(size=(224, 224), aspect_jitter=0.25), (256, 400))
    height, width = boxes[:, 2], boxes[:, 3]
    assert height.min() == 168  # 0.75 of 224
    assert height.max() == 256  # 1.25 of it would be 280
    assert width.min() == 168
    assert 278 <= width.max() <= 280
    assert abs(np.corrcoef(width, np.minimum(height, 255))[0, 1]) < 0.05
    assert abs(width.mean() - 224) < 2


def test_the_centre_and_the_whole() -> None:
    np.testing.assert_array_equal(boxes_of(CropRule(size=(9, 8), place="center"), (20, 21))[0], (5, 6, 9, 8))
    np.testing.assert_array_equal(boxes_of(CropRule(size=(9, 8), place=None), (20, 21))[-1], (0, 0, 20, 21))
    assert not CropRule(size=(9, 8), place="center").random
    assert not CropRule(size=(9, 8), place=None).random
    assert CropRule(size=(9, 8), place="center", scales=(1, 0.5)).random
    assert CropRule(size=(9, 8)).random


def test_epochs_samples_and_seeds_differ() -> None:
    rule = CropRule(size=(8, 8))
    first = boxes_of(rule, (128, 170))
    assert (rule.boxes(0, ONE_EPOCH + 1, MANY, (128, 170)) != first).any(axis=1).mean() > 0.9
    assert (rule.boxes(0, ONE_EPOCH, MANY + 1, (128, 170)) != first).any(axis=1).mean() > 0.9
    assert (boxes_of(rule, (128, 170), seed=1) != first).any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(boxes_of(rule, (128, 170)), first)


def test_half_of_the_samples_are_flipped_whatever_their_box() -> None:
    flipped = flips(3, ONE_EPOCH, MANY)
    assert abs(flipped.mean() - 0.5) < 0.03
    rows = boxes_of(CropRule(size=(8, 8)), (128, 170), seed=3)[:, 0]
    assert abs(np.corrcoef(flipped, rows)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (0, 112)}, r"got \(0, 112\)"),
        ({"size": None}, r"size must be \(height, width\), got None"),
        ({"size": 112}, r"size must be \(height, width\), whole pixels from 1, got 112"),
        (
            {"place": "centre"},
            "crop must be one of 'random', 'corners', 'center', or None for whole frames, got 'centre'",
        ),
        ({"scales": ()}, r"scales must be numbers above 0 and up to 1, such as .*, got \(\)"),
        ({"scales": (1, 0)}, r"got \(1, 0\)"),
        ({"scales": (1.5,)}, r"got \(1.5,\)"),
        ({"scales": (float("nan"),)}, r"got \(nan,\)"),
        ({"scales": 0.5}, "got 0.5"),
        ({"scales": "1"}, "got '1'"),
        ({"scales": (True,)}, r"got \(True,\)"),
        ({"aspect_jitter": -0.1}, "aspect_jitter must be at least 0 and less than 1, got -0.1"),
        ({"aspect_jitter": 1}, "got 1"),
        ({"aspect_jitter": float("nan")}, "got nan"),
        ({"place": None, "scales": (1,)}, "choose a crop or leave them"),
        ({"place": None, "aspect_jitter": 0.25}, "choose a crop or leave them"),
    ],
)
def test_refuses_what_is_no_rule(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CropRule(**{"size": (112, 112), **options})


def test_refuses_frames_smaller_than_the_box() -> None:
    with pytest.raises(UsageError, match="frames of 100x200 pixels are smaller than boxes of 112x112: give scales"):
        boxes_of(CropRule(size=(112, 112)), (100, 200))
    boxes_of(CropRule(size=(112, 112), scales=(1, 0.5)), (100, 200))
