"""Fixtures that all tests share. Clips are made once a session; a test that changes one makes its own copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("SVT_LOG", "1")  # errors only: the AV1 encoder prints its settings otherwise

from media import write_clip

settings.register_profile("vidprep", deadline=None)  # a busy machine is no failure
settings.load_profile("vidprep")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The repository root, which is the package ``vidprep``."""
    return ROOT


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264, 64x48, 30 frames at 25 fps, two key frames, B-frames."""
    return write_clip(tmp_path_factory.mktemp("clip") / "small.mp4", num_frames=30, gop=15, b_frames=2)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes with two clips each, 12 frames of 64x48, all different; never written to."""
    root = tmp_path_factory.mktemp("dataset") / "videos"
    names = ("Archery/a.mp4", "Archery/b.avi", "Bowling/a.mp4", "Bowling/b.mkv")
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, codec="mpeg4" if path.suffix == ".avi" else "libx264", seed=seed)
    return root


@pytest.fixture(scope="session")
def dataset_cache(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of ``dataset``: residuals of 32x24, four shards; never written to, ``cache_copy`` is."""
    import vidprep

    cache = tmp_path_factory.mktemp("dataset_cache") / "cache"
    vidprep.extract(dataset, cache, size=(24, 32), workers=1)
    return cache


@pytest.fixture
def cache_copy(dataset_cache: Path, tmp_path: Path) -> Path:
    """A copy of ``dataset_cache`` to damage."""
    return Path(shutil.copytree(dataset_cache, tmp_path / "cache"))


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    """Real clips of many kinds, in a folder beside the repository that not every machine has."""
    folder = ROOT.parent / "shared" / "data" / "videos"
    if not folder.is_dir():
        pytest.skip("no real clips at ../shared/data/videos")
    return folder
