"""The motion modalities from end to end: extracted, stored, read, verified, mended, resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  the shards' filters
import numpy as np
import pytest

import vidprep
from extraction import build_cache, cache_bytes, small_config
from interruption import assert_same_bytes
from media import write_clip
from vidprep.kernels import cost_volume, displacement, tvl1_flow, warped_difference, zncc_features
from vidprep.kernels.cpu._threads import set_num_threads
from vidprep.pipeline.cache import shard_path, verify
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.modalities import MODALITIES
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.repair import repair
from vidprep.pipeline.run import kernel_threads, num_cores

EVERYTHING: dict[str, Any] = {"modalities": list(MODALITIES), "size": (30, 40), "step": 2, "radius": (2, 3)}


@pytest.fixture(scope="module")
def motion_cache(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> vidprep.Cache:
    path = tmp_path_factory.mktemp("motion") / "cache"
    report = vidprep.extract(dataset, path, workers=2, shard_videos=1, **EVERYTHING)
    assert (report.num_videos, report.failures) == (4, ())
    return vidprep.Cache(path)


def test_what_is_read_is_what_the_kernels_compute(motion_cache: vidprep.Cache) -> None:
    for video in motion_cache.videos:
        stored = {name: motion_cache.read(video, name, decode=True) for name in MODALITIES}
        assert all(array.dtype == np.float32 for array in stored.values())
        frames = motion_cache.read(video, "rgb")
        grey = (frames @ np.array([77, 150, 29]) / 256).astype(np.float32)
        features = zncc_features(frames)
        pairs = features[:-2], features[2:]
        moved = displacement(*pairs, (2, 3))
        np.testing.assert_allclose(stored["flow"], tvl1_flow(grey[:-2], grey[2:]), atol=0.08)
        np.testing.assert_array_equal(stored["displacement"], moved.astype(np.float16))
        wanted = cost_volume(*pairs, (2, 3)).reshape(10, 30, 40, 5 * 7).astype(np.float16)
        np.testing.assert_array_equal(stored["cost-volume"], wanted)
        difference = warped_difference(frames[:-2].astype(np.float32), frames[2:].astype(np.float32), moved)
        np.testing.assert_allclose(stored["warped-difference"], difference, atol=1.01)


def test_any_hdf5_tool_reads_them(motion_cache: vidprep.Cache) -> None:
    with h5py.File(shard_path(motion_cache.path, 0)) as shard:
        video = shard["Archery/a.mp4"]
        assert {name: (data.shape[1:], data.dtype.name) for name, data in video.items()} == {
            "rgb": ((30, 40, 3), "uint8"),
            "residual": ((30, 40, 3), "uint8"),
            "flow": ((30, 40, 2), "uint8"),
            "displacement": ((30, 40, 2), "float16"),
            "cost-volume": ((30, 40, 35), "float16"),
            "warped-difference": ((30, 40, 3), "int8"),
        }
        for name, data in video.items():
            np.testing.assert_array_equal(data, motion_cache.read("Archery/a.mp4", name))
        assert {name for name, data in video.items() if "scale_factor" in data.attrs} == {"flow", "warped-difference"}
        assert video["flow"].attrs["add_offset"] == -128 * video["flow"].attrs["scale_factor"]


def test_it_is_verified_and_mended(motion_cache: vidprep.Cache, dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache"
    vidprep.extract(dataset, path, workers=1, shard_videos=1, **EVERYTHING)
    assert_same_bytes(cache_bytes(path), cache_bytes(motion_cache.path))  # however many workers and threads
    shard = bytearray(shard_path(path, 2).read_bytes())
    shard[len(shard) // 2] ^= 4
    shard_path(path, 2).write_bytes(shard)
    assert not verify(path).ok
    assert repair(path, workers=1).rebuilt == (2,)
    assert_same_bytes(cache_bytes(path), cache_bytes(motion_cache.path))
    (path / "cache.json").unlink()
    assert repair(path, workers=1).after.ok


def test_another_option_is_another_cache(motion_cache: vidprep.Cache, dataset: Path) -> None:
    with pytest.raises(UsageError, match=r"temperature is 0\.02 there and 0\.5 here"):
        vidprep.extract(dataset, motion_cache.path, shard_videos=1, temperature=0.5, **EVERYTHING)
    report = vidprep.extract(dataset, motion_cache.path, shard_videos=1, temperature=0.02, **EVERYTHING)
    assert report.frames == 0


@pytest.mark.parametrize("chunk_frames", [1, 5, 32])
@pytest.mark.parametrize("step", [1, 7])
def test_items_do_not_depend_on_the_chunks(small_clip: Path, tmp_path: Path, chunk_frames: int, step: int) -> None:
    names = tuple(MODALITIES)
    options = {"modalities": names, "step": step, "motion": MotionOptions(radius=2)}
    usual = build_cache([small_clip], tmp_path / "usual", config=small_config(**options))
    other = build_cache([small_clip], tmp_path / "other", config=small_config(chunk_frames=chunk_frames, **options))
    for name in names:
        np.testing.assert_array_equal(other.read("small.mp4", name), usual.read("small.mp4", name))


def test_items_do_not_depend_on_threads(small_clip: Path, tmp_path: Path) -> None:
    config = small_config(modalities=("flow", "displacement", "cost-volume", "warped-difference"))
    try:
        caches = []
        for threads in (1, 3):
            set_num_threads(threads)
            caches.append(cache_bytes(build_cache([small_clip], tmp_path / f"{threads}", config=config).path))
    finally:
        set_num_threads(None)
    assert_same_bytes(*caches)


def test_workers_share_the_cores() -> None:
    assert kernel_threads(1) == num_cores()
    assert kernel_threads(num_cores()) == kernel_threads(10 * num_cores()) == 1


def test_videos_too_short_and_items_too_large(tmp_path: Path) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    write_clip(source / "a.mp4", num_frames=3)
    vidprep.extract(source, tmp_path / "short", modalities=["flow"], step=3, workers=1)
    (failure,) = vidprep.Cache(tmp_path / "short").failures
    assert failure.reason.startswith("too short: flow with step 3 needs at least 4 frames")
    vidprep.extract(source, tmp_path / "large", modalities=["cost-volume"], radius=15, size=(400, 400), workers=1)
    (failure,) = vidprep.Cache(tmp_path / "large").failures
    assert failure.stage == "compute"
    assert "cost-volume of 400x400 pixels takes" in failure.reason
    assert "choose a smaller size or radius" in failure.reason
