"""Caches in which every pixel says where it is from: its video, its frame, its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from vidprep import Cache
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

SIZE = (12, 16)
CHANNELS = {"flow": 2, "residual": 3, "rgb": 3}


def telling_frames(modality: str, count: int, video: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """``(count, H, W, C)``: frame number; video and, of flow, 100 more than the frame; place in the frame."""
    frames = np.zeros((count, *size, CHANNELS[modality]), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    if modality == "flow":
        frames[..., 1] = 100 + np.arange(count)[:, None, None]
    else:
        frames[..., 1] = video
        frames[..., 2] = np.arange(size[0] * size[1]).reshape(size) % 251
    return frames


def write_cache(
    path: Path,
    videos: Mapping[str, int],
    *,
    modalities: Sequence[str] = ("residual", "rgb"),
    sizes: Mapping[str, tuple[int, int]] | None = None,
    splits: Mapping[str, str] | None = None,
    lacking: Mapping[str, Sequence[str]] | None = None,
    failures: Sequence[str] = (),
    flow_dtype: str = "uint8",
) -> Cache:
    """Write a cache of two shards, and open it.

    Parameters
    ----------
    videos
        Frames by id; modalities other than rgb have one less. The class is the first folder.
    sizes
        ``(height, width)`` by video or modality.
    splits
        By video.
    lacking
        Modalities that a video does not have.
    failures
        Ids of videos that could not be extracted.
    """
    sizes, splits, lacking = sizes or {}, splits or {}, lacking or {}
    shards = {id_: number * 2 // len(videos) for number, id_ in enumerate(videos)} | dict.fromkeys(failures, 1)
    labels = {id_: id_.split("/")[0] if "/" in id_ else None for id_ in shards}
    classes = tuple(sorted({label for label in labels.values() if label}))
    config = {"modalities": sorted(modalities), "codec": "lz4"}
    header = CacheHeader(
        config=config, tools={}, modalities=tuple(sorted(modalities)), classes=classes, source="/videos", num_shards=2
    )
    header.write(path)
    planned = tuple(
        PlannedVideo(video=id_, path=id_, label=labels[id_], split=splits.get(id_), shard=shard, source_bytes=1)
        for id_, shard in shards.items()
    )
    PlanTable(config=config, modalities=header.modalities, classes=classes, source="/videos", videos=planned).write(
        path
    )
    for shard in range(2):
        with ShardWriter(
            shard_path(path, shard), codec="lz4", chunk_frames=4, threads=0, config_hash=header.config_hash
        ) as out:
            for number, (id_, count) in enumerate(videos.items()):
                if shards[id_] == shard:
                    options = (sizes, labels[id_], splits.get(id_), lacking, flow_dtype)
                    _write_video(out, id_, number, count, modalities, *options)
            for id_ in failures:
                if shards[id_] == shard:
                    out.fail(id_, "decode", "it is broken")
            out.finish()
    build_index(path)
    return Cache(path)


def _write_video(
    out: Any, id_: str, number: int, count: int, modalities: Any, sizes: Any, label: Any, split: Any, lacking: Any,
    flow_dtype: str,
) -> None:  # fmt: skip
    with out.video(id_) as video:
        for modality in sorted(modalities):
            if modality in lacking.get(id_, ()):
                continue
            height, width = sizes.get(id_, sizes.get(modality, SIZE))
            is_flow = modality == "flow"
            dtype = flow_dtype if is_flow else "uint8"
            scale = {"scale_factor": 0.1, "add_offset": -10.0} if is_flow else {}
            spec = {"height": height, "width": width, "channels": CHANNELS[modality], "dtype": dtype, **scale}
            video.add_dataset(DatasetSpec(modality=modality, **spec))
            frames = telling_frames(modality, count - (modality != "rgb"), number, (height, width))
            video.write(modality, frames.astype(dtype))
        video.describe(
            VideoEntry(
                label=label, split=split, fps=25.0, num_frames=count, codec="h264", pixel_format="yuv420p", width=64,
                height=48, rotation=0, decoder="pyav",
            )
        )  # fmt: skip


def damage_chunk(cache: Cache, video: str, modality: str, chunk: int) -> None:
    """Overwrite a chunk with what is no compressed data."""
    rows = pq.read_table(cache.path / "index.parquet").to_pylist()
    (row,) = (row for row in rows if (row["video"], row["modality"]) == (video, modality))
    with shard_path(cache.path, row["shard"]).open("r+b") as file:
        file.seek(row["chunk_offsets"][chunk])
        file.write(b"\xff" * row["chunk_sizes"][chunk])


@pytest.fixture
def clip_cache() -> Callable[..., Cache]:
    """Writes a cache at a place, ``write_cache``."""
    return write_cache


@pytest.fixture
def make_clips(tmp_path: Path) -> Callable[..., Cache]:
    """Makes a cache, ``write_cache`` without the path."""

    def make(videos: Mapping[str, int], **options: Any) -> Cache:
        return write_cache(tmp_path / f"cache{len(list(tmp_path.iterdir()))}", videos, **options)

    return make


@pytest.fixture
def damage() -> Callable[..., None]:
    """Damages a chunk of a cache."""
    return damage_chunk


MANY = {f"{name}/v{i}.avi": 17 + 5 * i for name in ("Archery", "Bowling", "Surfing") for i in range(5)}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """15 videos of 17 to 37 frames in 3 classes, with flow, residual and rgb; never written to."""
    return write_cache(tmp_path_factory.mktemp("clips") / "cache", MANY, modalities=("flow", "residual", "rgb"))
