"""The cache on disk: shards of plain HDF5, and an index from which any clip is one read and one decompression.

The names below are the ones other parts use; each is imported on first use, so that reading needs neither HDF5 nor
anything of the writing side.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clip_damage import ClipDamage as ClipDamage
    from .clip_damage import DamagedClipsError as DamagedClipsError
    from .codecs import CODECS as CODECS
    from .damage import Damage as Damage
    from .damage import VerifyReport as VerifyReport
    from .entries import DatasetSpec as DatasetSpec
    from .entries import Failure as Failure
    from .entries import PlannedVideo as PlannedVideo
    from .entries import VideoEntry as VideoEntry
    from .format import DEFAULT_CHUNK_FRAMES as DEFAULT_CHUNK_FRAMES
    from .format import FORMAT_VERSION as FORMAT_VERSION
    from .format import CacheHeader as CacheHeader
    from .format import config_hash as config_hash
    from .format import shard_path as shard_path
    from .format import sidecar_path as sidecar_path
    from .index import IndexSummary as IndexSummary
    from .index import build_index as build_index
    from .index_table import FrameFormat as FrameFormat
    from .lock import CacheLock as CacheLock
    from .plan_table import PlanTable as PlanTable
    from .reader import Cache as Cache
    from .verification import verify as verify
    from .video_info import ModalityInfo as ModalityInfo
    from .video_info import VideoInfo as VideoInfo
    from .video_writer import VideoWriter as VideoWriter
    from .writer import ShardWriter as ShardWriter

_PUBLIC = {
    "CODECS": "codecs",
    "DEFAULT_CHUNK_FRAMES": "format",
    "FORMAT_VERSION": "format",
    "Cache": "reader",
    "CacheHeader": "format",
    "CacheLock": "lock",
    "ClipDamage": "clip_damage",
    "Damage": "damage",
    "DamagedClipsError": "clip_damage",
    "DatasetSpec": "entries",
    "Failure": "entries",
    "FrameFormat": "index_table",
    "IndexSummary": "index",
    "ModalityInfo": "video_info",
    "PlanTable": "plan_table",
    "PlannedVideo": "entries",
    "ShardWriter": "writer",
    "VerifyReport": "damage",
    "VideoEntry": "entries",
    "VideoInfo": "video_info",
    "VideoWriter": "video_writer",
    "build_index": "index",
    "config_hash": "format",
    "shard_path": "format",
    "sidecar_path": "format",
    "verify": "verification",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
