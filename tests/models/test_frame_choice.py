"""Which frames are chosen: in range, in order, at their distance, in their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.models.frame_choice import (
    clip_starts,
    frame_numbers,
    spread_stacks,
    stack_frames,
    stack_starts,
    strides,
)

frames = st.integers(1, 400)
lengths = st.integers(1, 40)
small = st.integers(1, 20)
wheres = st.one_of(st.floats(0, 1, exclude_max=True), st.just(0.0), st.just(1 - 2**-53))


@given(frames, lengths, small, small, wheres)
def test_clips_are_inside_and_keep_their_stride(num_frames, length, stride, parts, where) -> None:
    span = (length - 1) * stride + 1
    starts = clip_starts(num_frames, span, np.arange(parts), parts, where)
    numbers = frame_numbers(starts, num_frames, length, stride, "loop")
    assert numbers.shape == (parts, length)
    assert numbers.min() >= 0
    assert numbers.max() < num_frames
    assert (np.diff(starts) >= 0).all()
    if span <= num_frames:
        assert (np.diff(numbers, axis=1) == stride).all()
        assert (numbers == frame_numbers(starts, num_frames, length, stride, "pad")).all()
    else:
        assert (starts == 0).all()
        assert (numbers == np.arange(length) * stride % num_frames).all()
        padded = frame_numbers(starts, num_frames, length, stride, "pad")
        assert (padded == np.minimum(np.arange(length) * stride, num_frames - 1)).all()


@given(frames, lengths, small, wheres)
def test_a_part_is_a_part(num_frames, span, parts, where) -> None:
    """The start of part k is in the k-th of equal pieces of the range of starts."""
    num_starts = max(num_frames - span + 1, 1)
    starts = clip_starts(num_frames, span, np.arange(parts), parts, where)
    assert (starts >= np.floor(np.arange(parts) * num_starts / parts)).all()
    assert (starts < np.maximum(np.arange(1, parts + 1) * num_starts / parts, 1)).all()


def test_segments_are_thirds() -> None:
    """TSN, three segments of a video of 30 frames, one frame each."""
    assert clip_starts(30, 1, np.arange(3), 3, 0.0).tolist() == [0, 10, 20]
    assert clip_starts(30, 1, np.arange(3), 3, 0.5).tolist() == [5, 15, 25]
    assert clip_starts(30, 1, np.arange(3), 3, 1 - 2**-53).tolist() == [9, 19, 29]
    assert clip_starts(2, 1, np.arange(3), 3, 0.5).tolist() == [0, 1, 1]


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_all_starts_are_equally_likely(parts: int) -> None:
    """A video of 25 frames and clips of 16 have ten starts, also where they do not divide into the parts."""
    where = (np.arange(3000) + 0.5) / 3000
    starts = clip_starts(25, 16, np.arange(parts)[:, None], parts, where)
    counts = np.bincount(starts.ravel())
    assert len(counts) == 10
    assert np.abs(counts - 300 * parts).max() <= parts + 1


@given(frames, st.integers(1, 30), small, small, wheres)
def test_strides_are_in_their_range_and_fit(num_frames, length, low, more, where) -> None:
    high = low + more
    stride = int(strides(num_frames, length, low, high, where))
    assert low <= stride <= high
    fits = [each for each in range(low, high + 1) if (length - 1) * each < num_frames]
    assert stride in (fits or [low])


def test_every_fitting_stride_is_equally_likely() -> None:
    """Five items of a video of 61 frames reach over it with strides up to 15."""
    counts = np.bincount(strides(61, 5, 5, 20, (np.arange(605) + 0.5) / 605))
    assert counts.tolist() == [0] * 5 + [55] * 11


@given(frames, st.integers(1, 15), small, st.integers(1, 20), wheres)
def test_stacks_are_inside_or_symmetric(num_frames, length, num_stacks, stride, where) -> None:
    (starts,) = stack_starts([num_frames], length, num_stacks, [stride], [where])
    steps = np.diff(starts)
    assert (steps == steps[0]).all() if len(steps) else True
    assert (steps >= 1).all()
    assert (steps <= stride).all()
    before, after = -starts[0], starts[-1] + length - num_frames
    if length + num_stacks - 1 <= num_frames:
        assert before <= 0
        assert after <= 0
        if length + (num_stacks - 1) * stride <= num_frames:
            assert (steps == stride).all()
    else:
        assert (steps == 1).all()
        assert before - after in (0, 1)
    (numbers,) = stack_frames(starts[None], [num_frames], length)
    assert numbers.shape == (num_stacks, length)
    assert (numbers == np.clip(starts[:, None] + np.arange(length), 0, num_frames - 1)).all()


def test_stride_between_stacks_is_reduced_no_more_than_needed() -> None:
    """Paper D: "For videos with less than 705 frames we reduce the stride"."""
    assert np.diff(stack_starts([50], 10, 5, [15], [0.0])[0]).tolist() == [10] * 4
    assert stack_starts([50], 10, 5, [10], [0.99]).tolist() == [[0, 10, 20, 30, 40]]
    assert stack_starts([11], 10, 5, [15], [0.3]).tolist() == [[-2, -1, 0, 1, 2]]
    assert stack_frames(stack_starts([3], 4, 2, [1], [0.0]), [3], 4).tolist() == [[[0, 0, 1, 2], [0, 1, 2, 2]]]


@given(frames, st.integers(1, 15), small)
def test_spread_stacks_are_in_order_and_inside(num_frames, length, num_stacks) -> None:
    (starts,) = spread_stacks([num_frames], length, num_stacks)
    assert (np.diff(starts) >= 0).all()
    if num_frames >= length:
        assert starts[0] >= 0
        assert starts[-1] + length <= num_frames
        assert np.abs(np.diff(starts) - (num_frames - length + 1) / num_stacks).max(initial=0) <= 1
    else:
        assert (starts == (num_frames - length) // 2).all()
