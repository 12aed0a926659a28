"""``plan.parquet``: every video of the cache and the shard it belongs to, fixed before the first one is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..errors import CacheError
from .format import FORMAT_VERSION, PLAN_NAME
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
class PlannedVideo:
    """A video to extract.

    Parameters
    ----------
    path
        Where its file is, below ``PlanTable.source`` or absolute.
    source_bytes
        Size of its file.
    """

    video: str
    path: str
    label: str | None
    split: str | None
    shard: int
    source_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTable:
    """What ``plan.parquet`` holds, videos in the order of their shards."""

    source: str
    classes: tuple[str, ...]
    videos: tuple[PlannedVideo, ...]

    @property
    def num_shards(self) -> int:
        return 1 + max((video.shard for video in self.videos), default=-1)

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
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise CacheError(f"{path} cannot be read ({reason}), so run the same `vidprep extract` again") from None
        table = decode_table(data, path)
        content = table_metadata(table.schema, path)
        check_version(content, path)
        return cls(
            source=content["source"],
            classes=tuple(content["classes"]),
            videos=tuple(PlannedVideo(**row) for row in table.to_pylist()),
        )

    def _table(self) -> tuple[pa.Table, dict[str, object]]:
        columns = [pa.array([getattr(video, name) for video in self.videos], kind) for name, kind in _columns()]
        metadata = {"format_version": FORMAT_VERSION, "source": self.source, "classes": list(self.classes)}
        return pa.Table.from_arrays(columns, schema=_SCHEMA), metadata


def _columns() -> Sequence[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in _SCHEMA]
