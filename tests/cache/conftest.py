"""Small caches with known frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vidprep.pipeline.cache import (
    CacheHeader,
    DatasetSpec,
    PlannedVideo,
    PlanTable,
    ShardWriter,
    VideoEntry,
    build_index,
    shard_path,
)

HEIGHT, WIDTH = 9, 14
CONFIG = {"modalities": ["residual", "flow"], "size": [HEIGHT, WIDTH]}
SCALE, OFFSET = 0.15686274509803921, -20.0
RESIDUAL = DatasetSpec(modality="residual", height=HEIGHT, width=WIDTH, channels=3, dtype="uint8")
FLOW = DatasetSpec(
    modality="flow", height=HEIGHT, width=WIDTH, channels=2, dtype="float16", scale_factor=SCALE, add_offset=OFFSET
)
ENTRY = VideoEntry(
    label="Archery",
    split="train",
    fps=29.97,
    num_frames=12,
    codec="mpeg4",
    pixel_format="yuv420p",
    width=320,
    height=240,
    rotation=90,
    decoder="pyav",
    decoder_note="dali: 10 bit",
)


def random_frames(spec: DatasetSpec, count: int, seed: int) -> NDArray[Any]:
    """``(count, H, W, C)`` frames of which a codec can shrink about half."""
    values = np.random.default_rng(seed).integers(0, 200, (count, *spec.frame_shape))
    values[:, : spec.height // 2] = seed % 50
    return values.astype(spec.numpy_dtype)


@dataclass(frozen=True)
class MadeCache:
    path: Path
    frames: dict[tuple[str, str], NDArray[Any]]  # (video, modality) -> what was written


def write_shard(
    path: Path, videos: dict[str, int], *, frames: dict[tuple[str, str], NDArray[Any]] | None = None, **options: Any
) -> None:
    """Write a shard with ``videos`` (id -> frames; 0 for a failure), each with a residual and a flow."""
    settings = {"codec": "lz4", "chunk_frames": 4, "threads": 0, "config_hash": "0" * 32, **options}
    with ShardWriter(path, **settings) as shard:
        for number, (video, count) in enumerate(videos.items()):
            if count == 0:
                shard.fail(video, "decode", "it is broken")
                continue
            with shard.video(video) as out:
                for spec in (RESIDUAL, FLOW):
                    out.add_dataset(spec)
                    data = random_frames(spec, count, 10 * number + spec.channels)
                    out.write(spec.modality, data)
                    if frames is not None:
                        frames[video, spec.modality] = data
                out.describe(ENTRY)
        shard.finish()


SHARDS = (
    {"Archery/v_1.avi": 11, "Archery/v_2.avi": 4, "Archery/broken.avi": 0},
    {"Bowling/v ä.mp4": 1, "v_3.avi": 23},
)


@pytest.fixture
def make_cache(tmp_path: Path) -> Callable[..., MadeCache]:
    """Makes a complete cache of two shards, four videos and one failure."""

    def make(name: str = "cache", **options: Any) -> MadeCache:
        path = tmp_path / name
        header = CacheHeader(
            config=CONFIG,
            tools={"vidprep": "0.1.0"},
            modalities=("residual", "flow"),
            classes=("Archery", "Bowling"),
            source="/videos",
            num_shards=len(SHARDS),
        )
        header.write(path)
        planned = [
            PlannedVideo(video=video, path=video, label=None, split=None, shard=shard, source_bytes=1000)
            for shard, videos in enumerate(SHARDS)
            for video in videos
        ]
        PlanTable(
            config=CONFIG, modalities=header.modalities, classes=header.classes, source="/videos", videos=tuple(planned)
        ).write(path)
        frames: dict[tuple[str, str], NDArray[Any]] = {}
        for shard, videos in enumerate(SHARDS):
            options = {"config_hash": header.config_hash, **options}
            write_shard(shard_path(path, shard), videos, frames=frames, **options)
        build_index(path)
        return MadeCache(path, frames)

    return make


@pytest.fixture
def cache_of(tmp_path: Path) -> Callable[..., Path]:
    """Makes a cache of given frames: modality to ``(T, H, W, C)`` by video, a shard each."""

    def make(videos: dict[str, dict[str, NDArray[Any]]], **options: Any) -> Path:
        path = tmp_path / "of"
        names = tuple(sorted({name for datasets in videos.values() for name in datasets}))
        header = CacheHeader(config={"modalities": list(names)}, tools={}, modalities=names, classes=(), source="")
        header.write(path)
        for number, (video, datasets) in enumerate(videos.items()):
            settings = {"codec": "lz4", "chunk_frames": 4, "threads": 0, **options, "config_hash": header.config_hash}
            with ShardWriter(shard_path(path, number), **settings) as shard:
                with shard.video(video) as out:
                    for name, frames in datasets.items():
                        height, width, channels = frames.shape[1:]
                        kind = frames.dtype.name
                        out.add_dataset(
                            DatasetSpec(modality=name, height=height, width=width, channels=channels, dtype=kind)
                        )
                        out.write(name, frames)
                    out.describe(ENTRY)
                shard.finish()
        build_index(path)
        return path

    return make
