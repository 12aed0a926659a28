"""Caches of known frames, written without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media import moving_texture
from vidprep import Cache
from vidprep.kernels import residual
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


def make_cache(
    path: Path,
    videos: Mapping[str, NDArray[np.uint8]] | Sequence[str],
    *,
    modalities: Sequence[str] = ("residual", "rgb"),
    step: int = 1,
    fps: float = 25.0,
    failures: Mapping[str, str] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
) -> Cache:
    """Write a cache of one shard and open it.

    Parameters
    ----------
    videos
        ``(T, H, W, 3)`` uint8 RGB by id, or only the ids: then of 12 frames of 24x32. The class is the first folder.
    failures
        Videos that are not in it, with the reason.
    dataset_options
        More for each ``DatasetSpec``.
    """
    if not isinstance(videos, Mapping):
        videos = {id_: moving_texture(12, (24, 32), seed=seed) for seed, id_ in enumerate(videos)}
    failures = failures or {}
    labels = {id_: id_.rpartition("/")[0].partition("/")[0] or None for id_ in (*videos, *failures)}
    classes = tuple(sorted({label for label in labels.values() if label}))
    config = {"modalities": sorted(modalities), "step": step, "codec": "lz4"}
    header = CacheHeader(
        config=config, tools={"vidprep": "0"}, modalities=tuple(sorted(modalities)), classes=classes, source="/videos",
        num_shards=1,
    )  # fmt: skip
    header.write(path)
    planned = (
        PlannedVideo(video=id_, path=id_, label=label, split=None, shard=0, source_bytes=1000)
        for id_, label in labels.items()
    )
    PlanTable(
        config=config, modalities=header.modalities, classes=classes, source="/videos", videos=tuple(planned)
    ).write(path)
    with ShardWriter(
        shard_path(path, 0), codec="lz4", chunk_frames=4, threads=0, config_hash=header.config_hash
    ) as shard:
        for id_, frames in videos.items():
            height, width = frames.shape[1:3]
            with shard.video(id_) as out:
                for name in sorted(modalities):
                    options = {"channels": 3, "dtype": "uint8", **(dataset_options or {})}
                    out.add_dataset(DatasetSpec(modality=name, height=height, width=width, **options))
                    out.write(name, residual(frames, step) if name == "residual" else frames)
                out.describe(
                    VideoEntry(
                        label=labels[id_], split=None, fps=fps, num_frames=len(frames), codec="h264",
                        pixel_format="yuv420p", width=64, height=48, rotation=0, decoder="pyav",
                    )
                )  # fmt: skip
        for id_, reason in failures.items():
            shard.fail(id_, "decode", reason)
        shard.finish()
    build_index(path)
    return Cache(path)
