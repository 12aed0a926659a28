"""Descriptions of a cache's videos, made from the index when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .index_table import DatasetRow, IndexTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityInfo:
    """One dataset of a video: ``(num_frames, height, width, channels)`` of ``dtype`` in chunks of ``chunk_frames``.

    ``stored_bytes`` is what its chunks take on disk.
    """

    num_frames: int
    height: int
    width: int
    channels: int
    dtype: str
    scale_factor: float | None
    add_offset: float | None
    chunk_frames: int
    codec: str
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """One video of a cache.

    Parameters
    ----------
    num_frames
        Frames the decoder delivered. A modality may have fewer (residual has ``step`` fewer):
        ``modalities[name].num_frames``.
    fps
        Rate of these frames; 0 if unknown.
    source_codec, source_pixel_format, source_height, source_width, source_rotation
        The file it was made from; the size is the displayed one.
    decoder, decoder_note
        Who decoded it, and why not the decoder that was asked for.
    """

    id: str
    label: str | None
    split: str | None
    num_frames: int
    fps: float
    shard: int
    modalities: Mapping[str, ModalityInfo]
    source_codec: str
    source_pixel_format: str
    source_height: int
    source_width: int
    source_rotation: int
    decoder: str
    decoder_note: str


class Videos(Mapping[str, VideoInfo]):
    """Descriptions of all videos by id, in the order of the index: a video's place in it is its position."""

    def __init__(self, index: IndexTable) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        return self._index.ids()

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._index

    def __getitem__(self, video_id: str) -> VideoInfo:
        index = self._index
        rows = index.rows(video_id)
        names = {
            "label": "label",
            "split": "split",
            "num_frames": "source_frames",
            "fps": "fps",
            "shard": "shard",
            **{
                name: name
                for name in (
                    "source_codec",
                    "source_pixel_format",
                    "source_height",
                    "source_width",
                    "source_rotation",
                    "decoder",
                    "decoder_note",
                )
            },
        }
        modalities = {index.modality(row): _modality_info(index.dataset(row)) for row in rows}
        values = {field: index.value(column, rows[0]) for field, column in names.items()}
        return VideoInfo(id=video_id, modalities=modalities, **values)


def _modality_info(row: DatasetRow) -> ModalityInfo:
    height, width, channels = row.frame_shape
    return ModalityInfo(
        num_frames=row.num_frames,
        height=height,
        width=width,
        channels=channels,
        dtype=row.dtype.name,
        scale_factor=row.scale_factor,
        add_offset=row.add_offset,
        chunk_frames=row.chunk_frames,
        codec=row.codec,
        stored_bytes=int(row.chunk_sizes.sum(dtype=np.int64)),
    )
