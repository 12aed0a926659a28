"""The sidecar of a shard: one row per (video, modality), with the byte range and checksum of each chunk.

``index.parquet`` has the same columns: it is all sidecars, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CacheError
from .entries import DatasetSpec, Failure, PlannedVideo, VideoEntry
from .format import FORMAT_VERSION, UnreadableError, mending, version_error
from .sealed import decode_table, encode_table, table_metadata

CHUNK_COLUMNS = ("chunk_offsets", "chunk_sizes", "chunk_checksums")

SCHEMA = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("shard", pa.uint32(), nullable=False),
        pa.field("num_frames", pa.int64(), nullable=False),  # of the dataset
        pa.field("source_frames", pa.int64(), nullable=False),  # that the decoder delivered
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("channels", pa.int32(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("scale_factor", pa.float64()),
        pa.field("add_offset", pa.float64()),
        pa.field("chunk_frames", pa.int32(), nullable=False),
        pa.field("codec", pa.string(), nullable=False),
        pa.field("source_codec", pa.string(), nullable=False),
        pa.field("source_pixel_format", pa.string(), nullable=False),
        pa.field("source_height", pa.int32(), nullable=False),
        pa.field("source_width", pa.int32(), nullable=False),
        pa.field("source_rotation", pa.int32(), nullable=False),
        pa.field("decoder", pa.string(), nullable=False),
        pa.field("decoder_note", pa.string(), nullable=False),
        pa.field("chunk_offsets", pa.list_(pa.uint64()), nullable=False),
        pa.field("chunk_sizes", pa.list_(pa.uint32()), nullable=False),
        pa.field("chunk_checksums", pa.list_(pa.uint64()), nullable=False),
    ]
)

_PACKED = ("chunk_offsets.list.element", "chunk_sizes.list.element")


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarRow:
    """One dataset of a shard; the chunk arrays are 1-D, of equal length, in frame order."""

    video_id: str
    video: VideoEntry
    dataset: DatasetSpec
    num_frames: int
    chunk_offsets: NDArray[np.uint64]
    chunk_sizes: NDArray[np.uint32]
    chunk_checksums: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """What a sidecar says about its shard as a whole.

    Parameters
    ----------
    file_size
        Bytes of the HDF5 file.
    outside_checksum
        XXH64 of all its bytes that are in no chunk.
    videos
        Ids of all videos of the shard, cached or failed, in the order they were done.
    planned
        What the plan says of them, in its order; empty for a shard that was written without a plan.
    """

    shard: int
    config_hash: str
    file_size: int
    outside_checksum: int
    videos: tuple[str, ...]
    failures: tuple[Failure, ...]
    planned: tuple[PlannedVideo, ...] = ()


def encode_sidecar(rows: Sequence[SidecarRow], info: ShardInfo, *, chunk_frames: int, codec: str) -> bytes:
    """The bytes of a sidecar file."""
    plain = [
        {
            "video": row.video_id,
            "modality": row.dataset.modality,
            "label": row.video.label,
            "split": row.video.split,
            "shard": info.shard,
            "num_frames": row.num_frames,
            "source_frames": row.video.num_frames,
            "fps": row.video.fps,
            "height": row.dataset.height,
            "width": row.dataset.width,
            "channels": row.dataset.channels,
            "dtype": row.dataset.dtype,
            "scale_factor": row.dataset.scale_factor,
            "add_offset": row.dataset.add_offset,
            "chunk_frames": chunk_frames,
            "codec": codec,
            "source_codec": row.video.codec,
            "source_pixel_format": row.video.pixel_format,
            "source_height": row.video.height,
            "source_width": row.video.width,
            "source_rotation": row.video.rotation,
            "decoder": row.video.decoder,
            "decoder_note": row.video.decoder_note,
        }
        for row in rows
    ]
    fields = [field for field in SCHEMA if field.name not in CHUNK_COLUMNS]
    columns = [pa.array([row[field.name] for row in plain], field.type) for field in fields]
    for name in CHUNK_COLUMNS:
        columns.append(_list_column([getattr(row, name) for row in rows], SCHEMA.field(name).type))
    return encode_rows(pa.Table.from_arrays(columns, schema=SCHEMA), _metadata(info))


def encode_rows(table: pa.Table, metadata: dict[str, Any]) -> bytes:
    """The bytes of a sealed table with the sidecars' columns."""
    return encode_table(table, metadata, packed=_PACKED)


def read_sidecar(path: Path) -> tuple[bytes, pa.Table, ShardInfo]:
    """A sidecar's bytes, rows and shard.

    Raises
    ------
    CacheError
        It is missing, damaged, or of another format version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CacheError(f"{path} is missing, so run {mending(path)}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableError(f"{path} cannot be read ({reason}), so check its permissions and the disk") from None
    table = decode_table(data, path)
    content = table_metadata(table.schema, path)
    check_version(content, path)
    failures = tuple(Failure(**failure) for failure in content["failures"])
    return (
        data,
        table.replace_schema_metadata(None),
        ShardInfo(
            shard=content["shard"],
            config_hash=content["config_hash"],
            file_size=content["file_size"],
            outside_checksum=int(content["outside_checksum"], 16),
            videos=tuple(content["videos"]),
            failures=failures,
            planned=tuple(PlannedVideo(**video) for video in content["planned"]),
        ),
    )


def check_version(metadata: dict[str, Any], path: Path) -> None:
    """Refuse a table of another format version with a CacheVersionError."""
    if metadata.get("format_version") != FORMAT_VERSION:
        raise version_error(path, metadata.get("format_version"))


def _metadata(info: ShardInfo) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "config_hash": info.config_hash,
        "shard": info.shard,
        "file_size": info.file_size,
        "outside_checksum": f"{info.outside_checksum:016x}",  # JSON readers tend to round 64-bit integers
        "videos": list(info.videos),
        "failures": [
            {"video": failure.video, "stage": failure.stage, "reason": failure.reason} for failure in info.failures
        ],
        "planned": [asdict(video) for video in info.planned],
    }


def _list_column(rows: Sequence[NDArray[Any]], kind: pa.ListType) -> pa.ListArray:
    ends = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
    values: NDArray[Any] | list[int] = np.concatenate(rows) if rows else []
    return pa.ListArray.from_arrays(ends, pa.array(values, kind.value_type))
