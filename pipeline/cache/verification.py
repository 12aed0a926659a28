"""Every byte of a cache against its checksum."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import CacheError
from .checksum import xxh64
from .damage import Damage, Kind, VerifyReport
from .entries import Failure, PlannedVideo
from .failures import encode_failures
from .format import (
    FAILURES_NAME,
    HEADER_NAME,
    INDEX_NAME,
    PLAN_NAME,
    CacheHeader,
    CacheVersionError,
    shard_files,
    shard_path,
    sidecar_path,
    unfinished_files,
)
from .plan_table import PlanTable
from .sealed import is_intact, table_metadata
from .shard_bytes import chunk_checksums, outside_checksum
from .sidecar import ShardInfo, check_version, read_sidecar

Planned = Mapping[int, Sequence[PlannedVideo]]  # by shard

_TASK_BYTES = 64 << 20  # what one thread checks at a time: large shards are shared, many small ones cost little


def verify(cache: Path, threads: int = 2, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Compare every byte of a cache with its checksum.

    Parameters
    ----------
    threads
        Threads that read and compare.
    progress
        Called now and then, in this thread, with the bytes done and the bytes in all shards.

    Raises
    ------
    CacheError
        The folder is no cache, or one of an unknown format version.
    """
    return _Verification(cache, progress).run(threads)


class _Verification:
    """State of one run; only the calling thread changes it."""

    def __init__(self, cache: Path, progress: Callable[[int, int], None] | None) -> None:
        self._cache = cache
        self._progress = progress
        self._damage: list[Damage] = []
        self._num_chunks = 0
        self._num_bytes = 0
        self._shard_bytes_done = 0
        # Shards whose sidecar is intact, with its size and checksum.
        self._sidecars: dict[int, tuple[int, str]] = {}

    def run(self, threads: int) -> VerifyReport:
        started = time.perf_counter()
        plan = self._check_plan()
        config_hash = self._check_header(plan)
        planned = None if plan is None else plan.shards()
        shards, sidecars = shard_files(self._cache, ".h5"), shard_files(self._cache, ".parquet")
        total = sum(path.stat().st_size for path in shards.values())
        known = sorted({*shards, *sidecars, *(planned or ())})
        with ThreadPoolExecutor(threads, "verify") as executor:
            pending: deque[Future[_Checked]] = deque()
            for shard in known:
                for task in self._shard_tasks(shard, shard in shards, shard in sidecars, planned, config_hash):
                    pending.append(executor.submit(task))
                    while len(pending) > 4 * threads:
                        self._collect(pending.popleft(), total)
            while pending:
                self._collect(pending.popleft(), total)
        self._check_index(config_hash)
        return VerifyReport(
            damage=tuple(self._damage),
            leftovers=tuple(unfinished_files(self._cache)),
            num_shards=len(known),
            num_chunks=self._num_chunks,
            num_bytes=self._num_bytes,
            seconds=time.perf_counter() - started,
        )

    def _check_plan(self) -> PlanTable | None:
        try:
            plan = PlanTable.read(self._cache)
        except CacheVersionError:
            raise
        except CacheError as error:
            self._note("plan", str(error))
            return None
        self._num_bytes += (self._cache / PLAN_NAME).stat().st_size
        return plan

    def _check_header(self, plan: PlanTable | None) -> str | None:
        """The cache's config hash, None if neither header nor plan tells."""
        path = self._cache / HEADER_NAME
        try:
            header = CacheHeader.read(self._cache)
        except CacheVersionError:
            raise
        except CacheError as error:
            if plan is None and not path.exists():
                raise
            self._note("header", str(error))
            return None if plan is None else plan.config_hash
        data = path.read_bytes()
        self._num_bytes += len(data)
        if data != header.encode():
            self._note("header", f"{path} says what it should, but not in the bytes that were written")
        if plan is not None and plan.config_hash != header.config_hash:
            self._note("plan", f"{self._cache / PLAN_NAME} belongs to another config than {HEADER_NAME}")
        return header.config_hash

    def _shard_tasks(
        self, shard: int, has_file: bool, has_sidecar: bool, planned: Planned | None, config_hash: str | None
    ) -> Iterator[Callable[[], _Checked]]:
        """Check a shard's sidecar at once, and give out the work on its bytes."""
        if planned is not None and shard not in planned:
            self._note("stray", "the plan has no such shard", shard)
            return
        if not has_sidecar:
            if has_file:
                self._note("sidecar", f"{sidecar_path(self._cache, shard)} is missing", shard)
            else:
                self._note("missing", "it has not been extracted yet, or was removed", shard)
            return
        try:
            data, table, info = read_sidecar(sidecar_path(self._cache, shard))
        except CacheVersionError:
            raise
        except CacheError as error:
            self._note("sidecar", str(error), shard)
            return
        self._num_bytes += len(data)
        if info.shard != shard or config_hash not in (None, info.config_hash):
            self._note("sidecar", "it belongs to another shard or another config", shard)
            return
        if planned is not None and info.videos != tuple(video.video for video in planned[shard]):
            self._note("sidecar", "its videos are not those of the plan", shard)
            return
        self._sidecars[shard] = len(data), f"{xxh64(data):016x}"
        path = shard_path(self._cache, shard)
        if not has_file:
            self._note("shard", f"{path} is missing", shard)
        elif not os.access(path, os.R_OK):
            self._note("shard", f"{path} cannot be read; check its permissions", shard)
        elif path.stat().st_size != info.file_size:
            self._note("shard", f"{path} has {path.stat().st_size} bytes instead of {info.file_size}", shard)
        else:
            yield from _byte_tasks(path, table, info)

    def _collect(self, future: Future[_Checked], total: int) -> None:
        checked = future.result()
        self._damage.extend(checked.damage)
        self._num_chunks += checked.num_chunks
        self._num_bytes += checked.num_bytes
        self._shard_bytes_done += checked.num_bytes
        if self._progress is not None:
            self._progress(self._shard_bytes_done, total)

    def _check_index(self, config_hash: str | None) -> None:
        """Whether ``index.parquet`` and ``failures.csv`` are what the intact sidecars give."""
        path = self._cache / INDEX_NAME
        if not path.exists():
            self._note("index", f"{path} is missing")
            return
        data = path.read_bytes()
        if not is_intact(data):
            self._note("index", f"{path} is damaged: its checksum does not match")
            return
        self._num_bytes += len(data)
        content = table_metadata(pq.read_schema(pa.BufferReader(data)), path)
        check_version(content, path)
        indexed = {entry["shard"]: (entry["sidecar_size"], entry["sidecar_xxh64"]) for entry in content["shards"]}
        # A shard that is damaged itself says nothing about the index.
        doubtful = {damage.shard for damage in self._damage}
        same = all(indexed.get(shard) == entry for shard, entry in self._sidecars.items())
        known = all(shard in self._sidecars or shard in doubtful for shard in indexed)
        if not same or not known or config_hash not in (None, content["config_hash"]):
            self._note("index", f"{path} does not match the shards")
            return
        self._check_failures(content)

    def _check_failures(self, content: dict[str, Any]) -> None:
        path = self._cache / FAILURES_NAME
        expected = encode_failures(Failure(video=v, stage=s, reason=r) for v, s, r in content["failures"])
        if not path.exists() or path.read_bytes() != expected:
            self._note("failures", f"{path} is not what the index lists")
        self._num_bytes += len(expected)

    def _note(self, kind: Kind, detail: str, shard: int | None = None) -> None:
        self._damage.append(Damage(kind=kind, detail=detail, shard=shard))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    damage: tuple[Damage, ...]
    num_chunks: int
    num_bytes: int


def _byte_tasks(path: Path, table: pa.Table, info: ShardInfo) -> Iterator[Callable[[], _Checked]]:
    """The work on one shard's bytes, in portions of about ``_TASK_BYTES``."""
    rows = table.select(["video", "modality", "chunk_offsets", "chunk_sizes", "chunk_checksums"])
    offsets = [_array(cell) for cell in rows["chunk_offsets"]]
    sizes = [_array(cell) for cell in rows["chunk_sizes"]]
    portion: list[_Dataset] = []
    portion_bytes = 0
    for row in range(rows.num_rows):
        portion.append(
            _Dataset(
                video=rows["video"][row].as_py(),
                modality=rows["modality"][row].as_py(),
                offsets=offsets[row],
                sizes=sizes[row],
                checksums=_array(rows["chunk_checksums"][row]),
            )
        )
        portion_bytes += int(sizes[row].sum(dtype=np.int64))
        if portion_bytes >= _TASK_BYTES or row == rows.num_rows - 1:
            yield partial(_check_chunks, path, info.shard, tuple(portion))
            portion, portion_bytes = [], 0
    flat_offsets = np.concatenate([*offsets, np.empty(0, np.uint64)])
    flat_sizes = np.concatenate([*sizes, np.empty(0, np.uint32)])
    yield partial(_check_outside, path, info, flat_offsets, flat_sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dataset:
    video: str
    modality: str
    offsets: NDArray[np.uint64]
    sizes: NDArray[np.uint32]
    checksums: NDArray[np.uint64]


def _check_chunks(path: Path, shard: int, datasets: tuple[_Dataset, ...]) -> _Checked:
    damage: list[Damage] = []
    with path.open("rb", buffering=0) as file:
        for dataset in datasets:
            found = chunk_checksums(file.fileno(), dataset.offsets, dataset.sizes)
            for chunk, (expected, actual) in enumerate(zip(dataset.checksums.tolist(), found, strict=True)):
                if actual != expected:
                    what = "cannot be read" if actual is None else "has other bytes than were written"
                    damage.append(
                        Damage(
                            kind="chunk",
                            detail=f"{path} {what}",
                            shard=shard,
                            video=dataset.video,
                            modality=dataset.modality,
                            chunk=chunk,
                        )
                    )
    return _Checked(
        damage=tuple(damage),
        num_chunks=sum(dataset.sizes.size for dataset in datasets),
        num_bytes=sum(int(dataset.sizes.sum(dtype=np.int64)) for dataset in datasets),
    )


def _check_outside(path: Path, info: ShardInfo, offsets: NDArray[np.uint64], sizes: NDArray[np.uint32]) -> _Checked:
    with path.open("rb", buffering=0) as file:
        same = outside_checksum(file.fileno(), info.file_size, offsets, sizes) == info.outside_checksum
    detail = f"the HDF5 structures of {path} have other bytes than were written"
    damage = Damage(kind="shard", detail=detail, shard=info.shard)
    return _Checked(
        damage=() if same else (damage,),
        num_chunks=0,
        num_bytes=info.file_size - int(sizes.sum(dtype=np.int64)),
    )


def _array(cell: pa.ListScalar) -> NDArray[Any]:
    values: NDArray[Any] = cell.values.to_numpy()
    return values
