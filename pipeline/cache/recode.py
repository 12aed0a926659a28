"""Some videos of a cache in a cache of their own, with another codec: to measure what that would be like."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .entries import DatasetSpec, VideoEntry
from .format import CacheHeader, shard_path
from .index import build_index
from .reader import Cache
from .video_info import ModalityInfo, VideoInfo
from .writer import ShardWriter

_FRAMES = 64  # that are in memory at a time


def recode(cache: Cache, video_ids: Iterable[str], modality: str, path: Path, codec: str) -> Cache:
    """Write one modality of some videos, as stored, to a new cache of one shard.

    Parameters
    ----------
    path
        Folder of the new cache. It is to be read and thrown away: nothing can be repaired in it, or added to it.
    codec
        One of ``CODECS``.

    Returns
    -------
    Cache
        The new one. Chunks are as long as they were.

    Raises
    ------
    UsageError
        Unknown video or modality.
    CacheError
        The cache is damaged.
    OutputError
        The folder cannot be written, or the disk is full.
    """
    header = CacheHeader(
        config={**cache.header.config, "codec": codec, "modalities": [modality]},
        tools=cache.header.tools,
        modalities=(modality,),
        classes=cache.classes,
        source=cache.header.source,
    )
    videos = [cache.videos[video_id] for video_id in video_ids]
    chunk_frames = max((video.modalities[modality].chunk_frames for video in videos), default=1)
    path.mkdir(parents=True, exist_ok=True)
    header.write(path)
    with ShardWriter(
        shard_path(path, 0), codec=codec, chunk_frames=chunk_frames, threads=0, config_hash=header.config_hash
    ) as shard:
        for video in videos:
            stored = video.modalities[modality]
            with shard.video(video.id) as out:
                out.add_dataset(_dataset(modality, stored))
                for start in range(0, stored.num_frames, _FRAMES):
                    out.write(modality, cache.read(video.id, modality, start, min(start + _FRAMES, stored.num_frames)))
                out.describe(_entry(video))
        shard.finish()
    build_index(path)
    return Cache(path)


def _dataset(modality: str, stored: ModalityInfo) -> DatasetSpec:
    return DatasetSpec(
        modality=modality,
        height=stored.height,
        width=stored.width,
        channels=stored.channels,
        dtype=stored.dtype,
        scale_factor=stored.scale_factor,
        add_offset=stored.add_offset,
    )


def _entry(video: VideoInfo) -> VideoEntry:
    return VideoEntry(
        label=video.label,
        split=video.split,
        fps=video.fps,
        num_frames=video.num_frames,
        codec=video.source_codec,
        pixel_format=video.source_pixel_format,
        width=video.source_width,
        height=video.source_height,
        rotation=video.source_rotation,
        decoder=video.decoder,
        decoder_note=video.decoder_note,
    )
