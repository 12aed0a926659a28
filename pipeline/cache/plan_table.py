"""``plan.parquet``: every video of the cache and the shard it belongs to, fixed before the first one is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import CacheError
from .entries import PlannedVideo
from .format import FORMAT_VERSION, PLAN_NAME, CacheHeader, UnreadableError, config_hash, mending
from .sealed import decode_table, encode_table, table_metadata, write_table
from .sidecar import check_version

_SCHEMA = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("shard", pa.uint32(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTable:
    """What ``plan.parquet`` holds, videos in the order of their shards.

    All that ``cache.json`` says is in it too, but for the tools: either can be made again from the other.
    """

    config: Mapping[str, Any]
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    source: str
    videos: tuple[PlannedVideo, ...]

    @property
    def num_shards(self) -> int:
        return 1 + max((video.shard for video in self.videos), default=-1)

    @property
    def config_hash(self) -> str:
        return config_hash(self.config)

    def shards(self) -> dict[int, list[PlannedVideo]]:
        """Return the videos of each shard, in order."""
        shards: dict[int, list[PlannedVideo]] = {}
        for video in self.videos:
            shards.setdefault(video.shard, []).append(video)
        return shards

    def header(self, tools: Mapping[str, str]) -> CacheHeader:
        """Return the cache's header, with the ``tools`` that made it."""
        return CacheHeader(
            config=self.config,
            tools=tools,
            modalities=self.modalities,
            classes=self.classes,
            source=self.source,
            num_shards=self.num_shards,
        )

    def encode(self) -> bytes:
        """The bytes of ``plan.parquet``."""
        return encode_table(*self._table())

    def write(self, cache: Path) -> None:
        """Write ``plan.parquet`` atomically; OutputError if the folder cannot be written."""
        write_table(cache / PLAN_NAME, *self._table())

    @classmethod
    def read(cls, cache: Path) -> PlanTable:
        """Read ``plan.parquet``.

        Raises
        ------
        CacheError
            It is missing, damaged or of another format version.
        """
        path = cache / PLAN_NAME
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise CacheError(f"{path} is missing, so run {mending(path)}") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnreadableError(f"{path} cannot be read ({reason}), so check its permissions") from None
        table = decode_table(data, path)
        content = table_metadata(table.schema, path)
        check_version(content, path)
        return cls(
            config=content["config"],
            modalities=tuple(content["modalities"]),
            classes=tuple(content["classes"]),
            source=content["source"],
            videos=tuple(PlannedVideo(**row) for row in table.to_pylist()),
        )

    def _table(self) -> tuple[pa.Table, dict[str, object]]:
        columns = [pa.array([getattr(video, name) for video in self.videos], kind) for name, kind in _columns()]
        metadata: dict[str, object] = {
            "format_version": FORMAT_VERSION,
            "config": dict(self.config),
            "modalities": list(self.modalities),
            "classes": list(self.classes),
            "source": self.source,
        }
        return pa.Table.from_arrays(columns, schema=_SCHEMA), metadata


def _columns() -> Sequence[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in _SCHEMA]
