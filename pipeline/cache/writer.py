"""Writing one shard: compress on threads, store with HDF5, check, and only then give it its name."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..video_ids import check_id
from .atomic import leftovers, output_error, publish, start_writing_back, temporary_path, write_atomic
from .chunk_stream import ChunkStream
from .codecs import make_codec
from .entries import DatasetSpec, Failure, PlannedVideo, VideoEntry
from .format import FORMAT_VERSION, shard_number
from .hdf5 import Hdf5File
from .shard_bytes import chunk_checksums, outside_checksum
from .sidecar import ShardInfo, SidecarRow, encode_sidecar
from .spool import MEMORY_BYTES, Spool
from .video_writer import VideoWriter

_LEAST_SPOOL_BYTES = 8 << 20  # for each of several videos; most need no file then


class ShardWriter:
    """One shard and its sidecar, written under a temporary name until ``finish``.

    Whoever uses it must hold the cache's lock: temporary files of this shard that a killed run left are removed.

    Parameters
    ----------
    path
        The final name, ``CACHE/shards/shard-00003.h5``.
    codec
        One of ``codecs.CODECS``.
    threads
        Threads that compress; 0 compresses in the calling thread.
    config_hash
        ``CacheHeader.config_hash`` of the cache.
    in_flight
        Videos that may be written at a time, each with memory of its own.
    planned
        The plan's rows of its videos, kept in the sidecar: with all sidecars a lost plan is made again.

    Raises
    ------
    OutputError
        From any method, when the disk is full or the folder cannot be written. The shard is then lost as a whole.
    """

    def __init__(
        self,
        path: Path,
        *,
        codec: str,
        chunk_frames: int,
        threads: int,
        config_hash: str,
        in_flight: int = 1,
        planned: Sequence[PlannedVideo] = (),
    ) -> None:
        if chunk_frames < 1 or threads < 0:
            raise ValueError(f"chunk_frames must be >= 1 and threads >= 0, got {chunk_frames} and {threads}")
        if in_flight < 1:
            raise ValueError(f"in_flight must be >= 1, got {in_flight}")
        make_codec(codec, 1, 1)  # refuses an unknown one before any work
        self._path = path
        self._shard = shard_number(path)
        self._codec = codec
        self._chunk_frames = chunk_frames
        self._threads = threads
        self._config_hash = config_hash
        self._in_flight = in_flight
        self._planned = tuple(planned)
        self._temporary = temporary_path(path)
        self._resources = ExitStack()
        self._written: list[_WrittenDataset] = []
        self._videos: list[str] = []
        self._failures: list[Failure] = []
        self._open: set[str] = set()
        self._spools: list[Spool] = []  # that no video uses now
        self._finished = False

    def __enter__(self) -> ShardWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for stale in leftovers(self._path.parent, lambda name: Path(name).stem == self._path.stem):
                stale.unlink(missing_ok=True)
            self._fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._error(error) from error
        with ExitStack() as resources:
            resources.callback(self._release)
            self._executor = None
            if self._threads:
                self._executor = resources.enter_context(ThreadPoolExecutor(self._threads, "compress"))
            self._file = Hdf5File(self._fd, create=True)
            resources.callback(self._file.close)
            self._file.set_attributes("/", {"vidprep_format": FORMAT_VERSION, "config_hash": self._config_hash})
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @contextmanager
    def video(self, video_id: str) -> Iterator[VideoWriter]:
        """Write one video: it is in the shard if the block succeeds, and leaves no trace if the block raises.

        Up to ``in_flight`` blocks may be open at a time. Videos are stored in the order in which they end.

        Raises
        ------
        UsageError
            The id cannot be stored.
        """
        check_id(video_id)
        assert video_id not in self._videos, video_id
        assert video_id not in self._open, video_id
        assert len(self._open) < self._in_flight, self._open
        spool = self._spools.pop() if self._spools else self._resources.enter_context(self._make_spool())
        video = VideoWriter(spool, self._open_stream)
        self._open.add(video_id)
        try:
            yield video
            self._commit(video_id, video)
        finally:
            for stream in video.streams.values():
                stream.abandon()
            spool.clear()
            self._spools.append(spool)
            self._open.remove(video_id)

    def fail(self, video_id: str, stage: str, reason: str) -> None:
        """Record a video that is not in the shard."""
        assert video_id not in self._videos, video_id
        self._videos.append(video_id)
        self._failures.append(Failure(video=video_id, stage=stage, reason=reason))

    def finish(self) -> None:
        """Close, check and fsync the shard, give it its name, and write its sidecar.

        Raises
        ------
        OutputError
            The disk is full, or what was read back is not what was written.
        """
        assert not self._open
        assert not self._finished
        try:
            self._file.close()
            self._raise_failed_write()
            file_size = os.fstat(self._fd).st_size
            rows = self._check()
            offsets = _concatenated([row.chunk_offsets for row in rows], np.uint64)
            sizes = _concatenated([row.chunk_sizes for row in rows], np.uint32)
            outside = outside_checksum(self._fd, file_size, offsets, sizes)
            if outside is None:
                raise self._unfaithful("its chunks overlap")
            info = ShardInfo(
                shard=self._shard,
                config_hash=self._config_hash,
                file_size=file_size,
                outside_checksum=outside,
                videos=tuple(self._videos),
                failures=tuple(self._failures),
                planned=self._planned,
            )
            sidecar = encode_sidecar(rows, info, chunk_frames=self._chunk_frames, codec=self._codec)
            os.fsync(self._fd)  # only now: the disk had time to take the bytes while they were checked
            # Without its sidecar an older shard of this name stops counting before the new one takes its place.
            self._path.with_suffix(".parquet").unlink(missing_ok=True)
            publish(self._temporary, self._path)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise self._error(error) from error
        write_atomic(self._path.with_suffix(".parquet"), sidecar)
        self._finished = True

    def _make_spool(self) -> Spool:
        if self._in_flight == 1:
            return Spool(self._path.parent, self._error)
        return Spool(self._path.parent, self._error, max(MEMORY_BYTES // self._in_flight, _LEAST_SPOOL_BYTES))

    def _open_stream(self, spec: DatasetSpec, spool: Spool) -> ChunkStream:
        return ChunkStream(
            spec,
            chunk_frames=self._chunk_frames,
            codec=make_codec(self._codec, spec.numpy_dtype.itemsize, math.prod(spec.frame_shape)),
            spool=spool,
            executor=self._executor,
            threads=self._threads,
        )

    def _commit(self, video_id: str, video: VideoWriter) -> None:
        entry = video.entry
        if entry is None:
            raise ValueError(f"{video_id} was written without describe()")
        for stream in video.streams.values():
            stream.finish()
            if stream.num_frames == 0:
                raise ValueError(f"{video_id} has no {stream.spec.modality} frames; fail() records such a video")
        try:
            self._file.create_groups(video_id)
            self._file.set_attributes(video_id, _video_attributes(entry))
            for modality, stream in video.streams.items():
                self._store(f"{video_id}/{modality}", stream)
                self._written.append(_WrittenDataset(video_id, entry, stream))
            start_writing_back(self._fd)
        except OutputError:
            raise
        except Exception as error:  # half a video is in the file now: that costs the shard, not the video alone
            name = f"unexpected {type(error).__name__}: {error}"
            raise OutputError(f"{video_id} could not be stored in {self._path} ({name}), so run it again") from error
        self._videos.append(video_id)

    def _store(self, path: str, stream: ChunkStream) -> None:
        spec = stream.spec
        dataset = self._file.create_dataset(
            path,
            (stream.num_frames, *spec.frame_shape),
            spec.numpy_dtype,
            self._chunk_frames,
            stream.codec.hdf5_filters,
        )
        if spec.scale_factor is not None and spec.add_offset is not None:
            self._file.set_attributes(path, {"scale_factor": spec.scale_factor, "add_offset": spec.add_offset})
        for index in range(len(stream)):
            dataset.write_chunk(index * self._chunk_frames, stream.chunk(index))
        self._raise_failed_write()

    def _check(self) -> list[SidecarRow]:
        """Open the closed file anew, and compare its chunk tables and bytes with what was handed over."""
        file = Hdf5File(self._fd, create=False)
        try:
            return [self._check_dataset(file, written) for written in self._written]
        finally:
            file.close()

    def _check_dataset(self, file: Hdf5File, written: _WrittenDataset) -> SidecarRow:
        name = f"{written.video_id}/{written.spec.modality}"
        dataset = file.open_dataset(name)
        if dataset.shape != (written.num_frames, *written.spec.frame_shape):
            raise self._unfaithful(f"{name} has the shape {dataset.shape}")
        offset_table, size_table = dataset.chunk_table(self._chunk_frames)
        offsets = np.array(offset_table, np.uint64)
        sizes = np.array(size_table, np.uint32)
        checksums = np.frombuffer(written.checksums, np.uint64)
        if not np.array_equal(sizes, np.frombuffer(written.sizes, np.uint32)):
            raise self._unfaithful(f"the chunks of {name} have other sizes")
        if list(chunk_checksums(self._fd, offsets, sizes)) != written.checksums.tolist():
            raise self._unfaithful(f"the chunks of {name} have other checksums")
        return SidecarRow(
            video_id=written.video_id,
            video=written.entry,
            dataset=written.spec,
            num_frames=written.num_frames,
            chunk_offsets=offsets,
            chunk_sizes=sizes,
            chunk_checksums=checksums,
        )

    def _raise_failed_write(self) -> None:
        if self._file.error is not None:
            raise self._error(self._file.error) from self._file.error

    def _error(self, error: OSError) -> OutputError:
        return output_error(error, self._path)

    def _unfaithful(self, what: str) -> OutputError:
        return OutputError(f"{self._path} does not read back as it was written ({what}); check the disk and run again")

    def _release(self) -> None:
        os.close(self._fd)
        if not self._finished:
            self._temporary.unlink(missing_ok=True)


class _WrittenDataset:
    """What stays in memory of a stored dataset: 12 bytes a chunk."""

    def __init__(self, video_id: str, entry: VideoEntry, stream: ChunkStream) -> None:
        self.video_id = video_id
        self.entry = entry
        self.spec = stream.spec
        self.num_frames = stream.num_frames
        self.sizes: array[int] = stream.sizes
        self.checksums: array[int] = stream.checksums


def _video_attributes(entry: VideoEntry) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "fps": float(entry.fps),
        "source_frames": entry.num_frames,
        "source_codec": entry.codec,
        "source_height": entry.height,
        "source_width": entry.width,
        "decoder": entry.decoder,
    }
    if entry.label is not None:
        attributes["label"] = entry.label
    if entry.split is not None:
        attributes["split"] = entry.split
    return attributes


def _concatenated(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
