"""One shard in this process: what is stored is what the frames give, wherever chunks begin and end."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cuda_host.cupy_standin import cupy_on_the_cpu
from executors import need_compiler
from extraction import build_cache, make_task, small_config
from media import write_clip
from references import residual_reference
from vidprep.pipeline.cache import Cache, shard_path, sidecar_path
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.errors import VideoError
from vidprep.pipeline.events import Advanced, Event, VideoFinished, VideoStarted
from vidprep.pipeline.shard import StoppedAtFailure, build_shard

BOTH = ("residual", "rgb")


@pytest.mark.parametrize("step", [1, 2, 5, 13, 29])
@pytest.mark.parametrize("chunk_frames", [1, 4, 8, 32])
def test_residuals_are_those_of_the_stored_frames(
    step: int, chunk_frames: int, small_clip: Path, tmp_path: Path
) -> None:
    config = small_config(modalities=BOTH, step=step, chunk_frames=chunk_frames)
    cache = build_cache([small_clip], tmp_path, config=config)
    frames, residuals = (cache.read("small.mp4", name) for name in ("rgb", "residual"))
    assert frames.shape == (30, 24, 32, 3)
    np.testing.assert_array_equal(residuals, residual_reference(frames, step))
    info = cache.videos["small.mp4"]
    assert (info.num_frames, info.modalities["residual"].num_frames) == (30, 30 - step)


@pytest.mark.parametrize("chunk_frames", [1, 3, 30, 64])
def test_chunks_change_nothing(chunk_frames: int, small_clip: Path, tmp_path: Path) -> None:
    caches = [
        build_cache([small_clip], tmp_path / name, config=small_config(modalities=BOTH, step=2, chunk_frames=count))
        for name, count in (("whole", 8), ("other", chunk_frames))
    ]
    for modality in BOTH:
        whole, other = (cache.read("small.mp4", modality) for cache in caches)
        np.testing.assert_array_equal(other, whole)


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("threads", [0, 3])
def test_codecs_and_threads_change_nothing(codec: str, threads: int, small_clip: Path, tmp_path: Path) -> None:
    plain = build_cache([small_clip], tmp_path / "lz4", config=small_config())
    config = small_config(codec=codec)
    coded = build_cache([small_clip], tmp_path / codec, config=config)
    np.testing.assert_array_equal(coded.read("small.mp4", "residual"), plain.read("small.mp4", "residual"))
    bytes_before = shard_path(tmp_path / codec, 0).read_bytes()
    task = make_task([small_clip], tmp_path / codec, config=config)
    build_shard(replace(task, threads=threads), "cpu", lambda event: None)
    assert shard_path(tmp_path / codec, 0).read_bytes() == bytes_before


def test_fps_and_short_side(small_clip: Path, tmp_path: Path) -> None:
    config = small_config(size=FrameSize(short_side=30), fps=Fraction(10), modalities=BOTH)
    cache = build_cache([small_clip], tmp_path, config=config)
    info = cache.videos["small.mp4"]
    assert (info.num_frames, info.fps, info.source_height, info.source_width) == (12, 10.0, 48, 64)
    assert cache.read("small.mp4", "rgb").shape == (12, 30, 40, 3)


@pytest.mark.parametrize(("num_frames", "step"), [(1, 1), (3, 3), (9, 12)])
def test_too_short_is_recorded(num_frames: int, step: int, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", num_frames=num_frames)
    enough = write_clip(tmp_path / "enough.mp4", num_frames=step + 1)
    cache = build_cache([enough, short], tmp_path / "cache", config=small_config(step=step, modalities=BOTH))
    assert list(cache.videos) == ["enough.mp4"]
    assert cache.videos["enough.mp4"].modalities["residual"].num_frames == 1
    (failure,) = cache.failures
    assert (failure.video, failure.stage) == ("short.mp4", "compute")
    has = "1 frame" if num_frames == 1 else f"{num_frames} frames"
    assert failure.reason == (
        f"too short: residual with step {step} needs at least {step + 1} frames, and this video has {has}; that is "
        "enough for rgb, but a cache holds all modalities of a video or none: extract rgb into a cache of its own"
    )


def test_too_short_names_all_modalities_that_need_more(tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", num_frames=1)
    config = small_config(step=2, modalities=("residual", "flow", "displacement"))
    (failure,) = build_cache([short], tmp_path / "cache", config=config).failures
    assert failure.reason == (
        "too short: displacement, flow and residual with step 2 need at least 3 frames, and this video has 1 frame"
    )


def test_one_frame_is_enough_for_rgb(tmp_path: Path) -> None:
    cache = build_cache(
        [write_clip(tmp_path / "one.mp4", num_frames=1)], tmp_path / "cache", config=small_config(modalities=("rgb",))
    )
    assert cache.read("one.mp4", "rgb").shape == (1, 24, 32, 3)


def test_a_broken_video_leaves_the_others_alone(small_clip: Path, tmp_path: Path) -> None:
    broken = write_clip(tmp_path / "broken.mkv", num_frames=30, codec="ffv1", pix_fmt="yuv420p")
    data = bytearray(broken.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\x55" * 40
    broken.write_bytes(data)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    events: list[Event] = []
    cache = build_cache([broken, small_clip, text], tmp_path / "cache", config=small_config(), events=events)
    assert list(cache.videos) == ["small.mp4"]
    assert [(failure.video, failure.stage) for failure in cache.failures] == [
        ("broken.mkv", "decode"),
        ("text.mp4", "open"),
    ]
    alone = build_cache([small_clip], tmp_path / "alone", config=small_config())
    np.testing.assert_array_equal(cache.read("small.mp4", "residual"), alone.read("small.mp4", "residual"))
    assert [type(event) for event in events if not isinstance(event, Advanced)] == [VideoStarted, VideoFinished] * 3
    whole = events[events.index(VideoStarted(video="small.mp4")) : events.index(VideoFinished(video="small.mp4"))]
    assert sum(event.frames for event in whole if isinstance(event, Advanced)) == 30
    stored = sum(event.num_bytes for event in whole if isinstance(event, Advanced))
    assert stored == cache.videos["small.mp4"].modalities["residual"].stored_bytes
    assert [event.stage for event in events if isinstance(event, VideoFinished)] == ["decode", "", "open"]


def test_a_video_that_was_given_up_is_not_opened(small_clip: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    task = make_task([small_clip], tmp_path, given_up=(("small.mp4", "worker", "it crashed"),))
    build_shard(task, "cpu", events.append)
    assert events == [VideoFinished(video="small.mp4", stage="worker", reason="it crashed")]
    assert sidecar_path(tmp_path, 0).exists()


def test_stopping_at_the_first_failure_leaves_no_shard(small_clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    task = make_task([small_clip, text], tmp_path / "cache", stop_on_failure=True)
    with pytest.raises(
        StoppedAtFailure, match=r"^text.mp4 failed \(open\): .*; --on-error skip records it and goes on$"
    ):
        build_shard(task, "cpu", lambda event: None)
    assert list((tmp_path / "cache" / "shards").iterdir()) == []


def test_where_a_video_came_from_is_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "phone.mp4", rotation=90, pix_fmt="yuv420p10le", fps=30)
    cache = build_cache([clip], tmp_path / "cache", config=small_config())
    info = Cache(cache.path).videos["phone.mp4"]
    assert (info.source_codec, info.source_pixel_format) == ("h264", "yuv420p10le")
    assert (info.source_width, info.source_height, info.source_rotation) == (48, 64, 90)
    assert (info.decoder, info.decoder_note, info.fps) == ("pyav", "", 30.0)


@pytest.mark.parametrize("step", [1, 5])
def test_frames_on_a_gpu_give_the_same_bytes(step: int, tmp_path: Path) -> None:
    """Decoded by PyAV, uploaded, and computed by the CUDA kernels, on CuPy's stand-in."""
    need_compiler()
    clips = [write_clip(tmp_path / f"{i}.mp4", num_frames=9 + i, rotation=90 * i, seed=i) for i in range(2)]
    config = small_config(modalities=BOTH, step=step, chunk_frames=4)
    build_shard(make_task(clips, tmp_path / "cpu", config=config), "cpu", lambda event: None)
    with cupy_on_the_cpu():
        task = make_task(clips, tmp_path / "cuda", config=config, decoder="pyav")
        build_shard(task, "cuda:0", lambda event: None)
    assert shard_path(tmp_path / "cuda", 0).read_bytes() == shard_path(tmp_path / "cpu", 0).read_bytes()


def test_errors_of_one_video_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(VideoError("decode", "damaged after 3 frames")))
    assert (error.stage, error.reason, str(error)) == ("decode", "damaged after 3 frames", "damaged after 3 frames")
