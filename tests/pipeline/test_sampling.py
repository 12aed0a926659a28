"""Picking frames by timestamp, against FFmpeg's ``fps`` filter and by its own rules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidprep.pipeline.decode.sampling import FramePicker, pick, pick_frames

TICK = Fraction(1, 90_000)


def ffmpeg_fps(ticks: list[int], fps: Fraction, duration: int) -> list[int]:
    """Which frame each output of FFmpeg's ``fps`` filter is, for frames at ``ticks`` of 1/90000 s."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=16, height=16, format="gray", time_base=TICK)
    rate, sink = graph.add("fps", f"fps={fps}"), graph.add("buffersink")
    source.link_to(rate)
    rate.link_to(sink)
    graph.configure()
    for index, tick in enumerate(ticks):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), index, np.uint8), format="gray")
        frame.pts, frame.time_base, frame.duration = tick, TICK, duration
        source.push(frame)
    source.push(None)
    shown = []
    while True:
        try:
            shown.append(int(sink.pull().to_ndarray()[0, 0]))
        except (av.EOFError, av.BlockingIOError):
            return shown


NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24), Fraction(25), NTSC, Fraction(50), Fraction(7, 2)])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30), NTSC, Fraction(10)])
def test_constant_rate_equals_ffmpeg(fps: Fraction, rate: Fraction) -> None:
    ticks = [round(i / rate / TICK) for i in range(60)]
    indices, _ = pick_frames([float(tick * TICK) for tick in ticks], fps, rate)
    assert indices.tolist() == ffmpeg_fps(ticks, fps, round(1 / rate / TICK))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.integers(100, 40_000), min_size=1, max_size=40), fps=st.sampled_from([5, 10, 12, 25, 60]))
def test_variable_rate_equals_ffmpeg(steps: list[int], fps: int) -> None:
    ticks = np.cumsum([0, *steps]).tolist()
    if any((2 * tick * fps) % 90_000 == 0 and (tick * fps) % 90_000 for tick in [*ticks, ticks[-1] + 3000]):
        return  # exact halves: rounding of doubles decides
    indices, _ = pick_frames([tick / 90_000 for tick in ticks], fps, 30)
    assert indices.tolist() == (ffmpeg_fps(ticks, Fraction(fps), 3000) or [len(steps)])  # FFmpeg may give nothing


def test_output_times_are_even_from_the_first_frame() -> None:
    indices, times = pick_frames([5.0, 5.04, 5.3, 5.34], 10, 25)
    assert indices.tolist() == [1, 1, 1, 3]  # 5.04 is nearer to output 0 than to 1 and replaces frame 0
    np.testing.assert_allclose(times, [5.0, 5.1, 5.2, 5.3])


def test_no_fps_takes_each_frame_once() -> None:
    indices, times = pick_frames([0.0, 0.1, 0.5, 0.6], None, 25)
    assert indices.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(times, [0.0, 0.1, 0.5, 0.6])


@pytest.mark.parametrize("fps", [1, 0.01, 60])
def test_one_frame_is_never_lost(fps: float) -> None:
    indices, times = pick_frames([3.0], fps, 25)
    assert len(indices) >= 1
    assert set(indices.tolist()) == {0}
    assert times[0] == 3.0


def test_nothing_in_nothing_out() -> None:
    indices, times = pick_frames([], 10)
    assert indices.shape == times.shape == (0,)


def test_missing_times_follow_the_average_rate() -> None:
    _, times = pick_frames([None, None, 0.2, None], None, 10)
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("bad", [0.0, -5.0, math.nan, math.inf, 1e9])
def test_one_bad_time_costs_one_period(bad: float) -> None:
    _, times = pick_frames([0.0, 0.04, bad, 0.12, 0.16], None, 25)
    np.testing.assert_allclose(times, [0.0, 0.04, 0.08, 0.12, 0.16], atol=1e-9)


def test_a_restarted_clock_goes_on() -> None:
    _, times = pick_frames([0.0, 0.04, 0.08, 0.0, 0.04, 0.08], None, 25)
    np.testing.assert_allclose(times, [0.0, 0.04, 0.08, 0.12, 0.16, 0.2])


def test_a_wild_timestamp_does_not_fill_the_disk() -> None:
    indices, _ = pick_frames([0.0, 0.04, 1e12, 1e12 + 0.04], 25, 25)
    assert indices.tolist() == [0, 1, 2, 3]


def test_picker_holds_one_frame_only() -> None:
    taken: list[int] = []

    def frames() -> Iterator[tuple[int, float]]:
        for i in range(10):
            taken.append(i)
            yield i, i / 25

    shown = pick(frames(), None, 25)
    assert next(shown) == (0, [0.0])
    assert taken == [0, 1]


@pytest.mark.parametrize("fps", [0, -1, math.inf, math.nan])
def test_refuses_impossible_rates(fps: float) -> None:
    with pytest.raises(ValueError, match="fps must be above 0"):
        FramePicker(fps)


@given(
    times=st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=50),
    fps=st.none() | st.floats(0.5, 100),
    rate=st.sampled_from([0, 10, 25]),
)
def test_any_times_give_increasing_outputs(times: list[float | None], fps: float | None, rate: int) -> None:
    indices, outputs = pick_frames(times, fps, rate)
    assert np.all(np.diff(indices) >= 0)
    assert np.all(np.diff(outputs) >= 0)
    assert len(indices) <= len(times) * 60 * 100 + 1
    assert (len(indices) > 0) == (len(times) > 0)
