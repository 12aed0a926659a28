"""``vidprep.extract`` from Python: its result, its progress, what it refuses, and what it makes of damaged videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutation import KINDS, extract_mutants, write_mutants

import vidprep
from media import write_clip
from references import residual_reference
from vidprep.pipeline.errors import UsageError, VidprepError
from vidprep.pipeline.run import Progress


def test_the_example_of_the_readme(dataset: Path, tmp_path: Path) -> None:
    snapshots: list[tuple[int, int, int]] = []

    def on_progress(progress: Progress) -> None:
        snapshots.append((len(progress.finished), progress.frames, progress.num_bytes))

    report = vidprep.extract(
        dataset, tmp_path / "cache", modalities=["residual", "rgb"], size=(30, 40), workers=2, on_progress=on_progress
    )
    cache = vidprep.Cache(tmp_path / "cache")
    stored = sum(data.stored_bytes for video in cache.videos.values() for data in video.modalities.values())
    assert (report.cache, report.num_videos, report.failures) == (tmp_path / "cache", 4, ())
    assert (report.frames, report.num_bytes, report.warnings) == (48, stored, ())
    assert snapshots[-1] == (4, 48, stored)
    assert list(cache.videos) == ["Archery/a.mp4", "Archery/b.avi", "Bowling/a.mp4", "Bowling/b.mkv"]
    for video in cache.videos:
        frames = cache.read(video, "rgb")
        assert frames.shape == (12, 30, 40, 3)
        np.testing.assert_array_equal(cache.read(video, "residual"), residual_reference(frames))
    np.testing.assert_array_equal(
        cache.read("Archery/a.mp4", "rgb", start=3, stop=9), cache.read("Archery/a.mp4", "rgb")[3:9]
    )


def test_one_modality_need_not_be_a_list(small_clip: Path, tmp_path: Path) -> None:
    vidprep.extract(small_clip, tmp_path / "cache", modalities="rgb", short_side=24, workers=1)
    assert vidprep.Cache(tmp_path / "cache").read("small.mp4", "rgb").shape == (30, 24, 32, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"modalities": []}, "at least one modality"),
        ({"modalities": ["flux"]}, "'flux': choose from rgb, residual"),
        ({"size": (0, 170)}, "between 1 and 16384"),
        ({"size": (128, 170), "short_side": 128}, "not both"),
        ({"step": 0}, "1 to 1024"),
        ({"fps": 0}, "above 0"),
        ({"fps": -2.5}, "above 0"),
        ({"codec": "gzip"}, "'gzip': choose from"),
        ({"device": "gpu"}, "auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"decoder": "opencv"}, "'opencv': choose from auto, dali, pyav"),
        ({"workers": 0}, "at least 1 worker"),
        ({"shard_videos": 0}, "at least 1 video"),
        ({"on_error": "ignore"}, "skip or fail, got 'ignore'"),
        ({"modalities": [1]}, "no modality 1: choose from"),
        ({"modalities": 3}, "must be a list of names"),
        ({"size": (1.5, 2.5)}, "whole pixels, got 1.5"),
        ({"size": 128}, r"must be \(height, width\) in pixels, such as \(128, 170\), got 128"),
        ({"size": (128,)}, r"must be \(height, width\)"),
        ({"size": (None, 170)}, "a height and a width"),
        ({"short_side": "64"}, "whole pixels, got '64'"),
        ({"step": 1.5}, "1 to 1024 frames, got 1.5"),
        ({"fps": "abc"}, "such as 15, 29.97 or 30000/1001, got 'abc'"),
        ({"fps": float("nan")}, "a number of frames per second .* got nan"),
        ({"fps": float("inf")}, "a number of frames per second .* got inf"),
        ({"codec": 3}, "there is no codec 3"),
        ({"device": None}, "auto, cpu, cuda or cuda:N, got None"),
        ({"workers": 1.5}, "at least 1 worker is needed, got 1.5"),
        ({"time_limit": -1}, "time_limit must be above 0"),
        ({"time_limit": float("nan")}, "time_limit must be above 0 .* got nan"),
        ({"overwrite": "no"}, "True or False, got 'no'"),
        ({"labels": 5}, "labels must be a path, got 5"),
    ],
)
def test_what_is_refused(options: dict[str, object], sentence: str, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        vidprep.extract(dataset, tmp_path / "cache", **options)
    assert not (tmp_path / "cache").exists()


def test_sources_and_caches_are_paths(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source must be a path, got 5"):
        vidprep.extract(5, tmp_path / "cache")
    with pytest.raises(UsageError, match="out must be a path, got None"):
        vidprep.extract(dataset, None)


def test_numpy_numbers_are_numbers(small_clip: Path, tmp_path: Path) -> None:
    vidprep.extract(
        small_clip, tmp_path / "cache", short_side=np.int64(24), step=np.uint8(2), fps=np.float32(12.5),
        workers=np.int32(1), shard_videos=np.int64(1), time_limit=np.float64(60),
    )  # fmt: skip
    config = vidprep.Cache(tmp_path / "cache").header.config
    assert (config["size"], config["step"], config["fps"]) == ({"short_side": 24}, 2, "25/2")


def test_stopping_at_a_failure_can_be_resumed(tmp_path: Path) -> None:
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    write_clip(source / "a.mp4", num_frames=4)
    (source / "b.mp4").touch()
    with pytest.raises(VidprepError, match=r"^b\.mp4 failed \(open\)"):
        vidprep.extract(source, cache, size=(24, 32), workers=1, on_error="fail")
    assert sorted(path.name for path in (cache / "shards").iterdir()) == ["shard-00000.h5", "shard-00000.parquet"]
    report = vidprep.extract(source, cache, size=(24, 32), workers=1)
    assert (report.videos_before, report.num_videos, len(report.failures)) == (1, 1, 1)


def test_ids_that_differ_in_their_suffix_alone(tmp_path: Path) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    names = ["a.avi", "a.b.mp4", "a.mp4", "ä ö,\"'.mp4"]
    for seed, name in enumerate(names):
        write_clip(source / name, num_frames=3, codec="mpeg4", seed=seed)
    vidprep.extract(source, tmp_path / "cache", size=(24, 32), workers=1)
    cache = vidprep.Cache(tmp_path / "cache")
    assert list(cache.videos) == sorted(names)
    assert len({cache.read(name, "residual").tobytes() for name in names}) == 4


def test_damaged_videos_are_cached_or_listed(tmp_path: Path) -> None:
    """benchmarks/mutation_test.py does it with 300 and more."""
    names = write_mutants(tmp_path / "mutants", 4 * len(KINDS), seed=7)
    cached, failed = extract_mutants(tmp_path / "mutants", tmp_path / "cache", names)
    assert cached > 0
    assert failed > len(names) // 4
