"""``index.parquet`` and ``failures.csv``: all finished sidecars in one table each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import CacheError
from .atomic import write_atomic
from .checksum import xxh64
from .entries import Failure
from .failures import encode_failures
from .format import FAILURES_NAME, FORMAT_VERSION, INDEX_NAME, CacheHeader, shard_files
from .sidecar import SCHEMA, ShardInfo, encode_rows, read_sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """What an index covers.

    Parameters
    ----------
    missing_shards
        Shards of the plan without a sidecar: they have not been extracted yet.
    """

    num_videos: int
    num_shards: int
    failures: tuple[Failure, ...]
    missing_shards: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The two files that sum up a cache, as bytes, made from its sidecars alone."""

    index: bytes
    failures_csv: bytes
    failures: tuple[Failure, ...]
    num_videos: int


def build_index(cache: Path) -> IndexSummary:
    """Merge the sidecars of all finished shards into ``index.parquet`` and ``failures.csv``.

    Raises
    ------
    CacheError
        The folder is no cache, or a sidecar is damaged or belongs to another config.
    OutputError
        The folder cannot be written.
    """
    header = CacheHeader.read(cache)
    sidecars = {shard: read_sidecar(path) for shard, path in shard_files(cache, ".parquet").items()}
    for shard, (_, _, info) in sidecars.items():
        if info.config_hash != header.config_hash or info.shard != shard:
            raise CacheError(
                f"shard {shard} in {cache} was made with another config, so run `vidprep verify {cache} --repair` or "
                "extract again with --overwrite"
            )
    merged = merge(sidecars, header)
    write_atomic(cache / FAILURES_NAME, merged.failures_csv)
    write_atomic(cache / INDEX_NAME, merged.index)
    return IndexSummary(
        num_videos=merged.num_videos,
        num_shards=len(sidecars),
        failures=merged.failures,
        missing_shards=tuple(shard for shard in range(header.num_shards or 0) if shard not in sidecars),
    )


def merge(sidecars: dict[int, tuple[bytes, pa.Table, ShardInfo]], header: CacheHeader) -> Merged:
    """The summary files of these sidecars: the same sidecars give the same bytes."""
    ordered = sorted(sidecars.items())
    failures = tuple(sorted(failure for _, (_, _, info) in ordered for failure in info.failures))
    num_videos = sum(len(info.videos) - len(info.failures) for _, (_, _, info) in ordered)
    metadata: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "config_hash": header.config_hash,
        "num_videos": num_videos,
        "shards": [
            {"shard": shard, "sidecar_size": len(data), "sidecar_xxh64": f"{xxh64(data):016x}"}
            for shard, (data, _, _) in ordered
        ],
        "failures": [[failure.video, failure.stage, failure.reason] for failure in failures],
    }
    tables = [table.cast(SCHEMA) for _, (_, table, _) in ordered]
    table = pa.concat_tables(tables).combine_chunks() if tables else SCHEMA.empty_table()
    return Merged(
        index=encode_rows(table, metadata),
        failures_csv=encode_failures(failures),
        failures=failures,
        num_videos=num_videos,
    )
