"""Reading a cache: a clip is a ``pread`` and a decompression, with no HDF5 in between."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .checksum import xxh64
from .clip_damage import ClipDamage, DamagedClipsError
from .clip_request import Crop, check_request, integers
from .codecs import Buffer, make_codec
from .entries import Failure
from .format import CacheHeader, shard_path
from .index_table import DatasetRow, FrameFormat, IndexTable
from .open_shards import OpenShards
from .shard_bytes import read_exactly
from .video_info import VideoInfo, Videos

_GAP_BYTES = 1 << 16  # reading this much for nothing costs less than another read


class Cache:
    """A cache, open for reading. Cheap to pickle; good in threads and in forked workers.

    Parameters
    ----------
    path
        The cache's folder.

    Raises
    ------
    CacheError
        The folder is no cache, is of an unknown format version, or its header or index is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.header = CacheHeader.read(self.path)
        self._index = IndexTable(self.path, self.header.config_hash)
        self._shards = OpenShards(self.path)
        self._scratch = _Scratch()
        self.videos: Mapping[str, VideoInfo] = Videos(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r}): {len(self)} videos, {', '.join(self.modalities)}"

    def __getstate__(self) -> str:
        return os.fspath(self.path)

    def __setstate__(self, path: str) -> None:
        self.__init__(path)  # type: ignore[misc]

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.header.modalities

    @property
    def classes(self) -> tuple[str, ...]:
        return self.header.classes

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Videos that are not in the cache, and why."""
        return self._index.failures()

    def read(
        self,
        video_id: str,
        modality: str,
        start: int = 0,
        stop: int | None = None,
        decode: bool = False,
        *,
        out: NDArray[Any] | None = None,
        verify: bool = False,
    ) -> NDArray[Any]:
        """Frames ``start`` to ``stop`` (excluded) of one modality.

        Parameters
        ----------
        stop
            The modality's number of frames by default.
        decode
            Give float32 physical values, ``stored * scale_factor + add_offset``, instead of the stored ones.
        out
            C-contiguous array to fill, of the shape and dtype of the result.
        verify
            Compare each chunk with its checksum too. Without it, damage is noticed when it breaks the compression.

        Returns
        -------
        ndarray
            ``(stop - start, H, W, C)``.

        Raises
        ------
        UsageError
            Unknown video or modality, frames that do not exist, or an ``out`` that does not fit.
        CacheError
            The shard is missing or damaged.
        """
        row = self._find(video_id, modality)
        stop = row.num_frames if stop is None else stop
        if not 0 <= start <= stop <= row.num_frames:
            raise UsageError(
                f"frames {start}:{stop} of {video_id!r} do not exist: its {modality} has the frames 0:{row.num_frames}"
            )
        shape = (stop - start, *row.frame_shape)
        dtype = np.dtype(np.float32) if decode else row.dtype
        if out is None:
            out = np.empty(shape, dtype)
        elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
            raise UsageError(f"out must be a C-contiguous {shape} {dtype} array, got {out.shape} {out.dtype}")
        stored = np.empty(shape, row.dtype) if decode else out
        try:
            self._read_chunks(row, start, stop, stored, verify)
        except _DamagedChunk as damage:
            raise CacheError(
                f"{shard_path(self.path, row.shard)} is damaged: chunk {damage.chunk} of {modality} of {video_id!r} "
                f"cannot be read ({damage.reason}), so run `vidprep verify {self.path} --repair`"
            ) from None
        if decode:
            np.multiply(stored, np.float32(1 if row.scale_factor is None else row.scale_factor), out=out)
            if row.add_offset:
                out += np.float32(row.add_offset)
        return out

    def positions(self, video_ids: Iterable[str]) -> NDArray[np.int64]:
        """Places of videos in the order of ``videos``, ``(N,)``.

        Raises
        ------
        UnknownVideoError
            With ids that look alike.
        """
        return np.fromiter(map(self._index.position, video_ids), np.int64)

    def frame_counts(self, modality: str) -> NDArray[np.int64]:
        """How many frames of a modality each video has, ``(V,)`` by position; 0 where it has none."""
        rows = self._index.dataset_rows(modality)
        return np.where(rows < 0, 0, self._index.numbers["num_frames"][rows])

    def frame_sizes(self, modality: str) -> NDArray[np.int32]:
        """Height and width of each video's frames, ``(V, 2)`` by position; 0 where it has none."""
        rows = self._index.dataset_rows(modality)
        sizes = [np.where(rows < 0, 0, self._index.numbers[name][rows]) for name in ("height", "width")]
        return np.stack(sizes, axis=1)

    def frame_format(self, modality: str) -> FrameFormat:
        """Type, channels and scale of a modality's frames."""
        return self._index.frame_format(modality)

    @property
    def labels(self) -> list[str | None]:
        """Class of each video, by position."""
        return self._index.texts("label")

    @property
    def splits(self) -> list[str | None]:
        """Split of each video, by position."""
        return self._index.texts("split")

    def read_batch(
        self,
        modality: str,
        clips: Sequence[tuple[str, int]],
        length: int = 16,
        crop: Crop = None,
        out: Any = None,
        *,
        stride: int = 1,
        verify: bool = False,
        num_threads: int | None = None,
    ) -> NDArray[Any]:
        """Clips of ``length`` frames, ``(N, length, h, w, C)``: ``clips`` are (video id, first frame)."""
        positions = self.positions(video for video, _ in clips)
        starts = integers([start for _, start in clips], "starts", "(clips,)", 1)
        frames = starts[:, None] + np.arange(length) * stride
        return self.read_frames(modality, positions, frames, crop, out, verify=verify, num_threads=num_threads)

    def read_frames(
        self,
        modality: str,
        positions: Any,
        frames: Any,
        crop: Crop = None,
        out: Any = None,
        *,
        verify: bool = False,
        num_threads: int | None = None,
    ) -> NDArray[Any]:
        """Frames ``frames[i]``, in any order, of the video at ``positions[i]``: ``(N, L, h, w, C)``."""
        request = check_request(self._index, modality, positions, frames, crop, out)
        height, width = request.out.shape[2:4]
        damage = []
        for clip, (row, (top, left)) in enumerate(zip(request.rows.tolist(), request.corners.tolist(), strict=True)):
            dataset = self._index.dataset(row)
            frame = np.empty((1, *dataset.frame_shape), dataset.dtype)
            for place, number in enumerate(request.frames[clip].tolist()):
                try:
                    self._read_chunks(dataset, number, number + 1, frame, verify)
                except _DamagedChunk as chunk:
                    video = self._index.id(int(request.positions[clip]))
                    damage.append(
                        ClipDamage(clip=clip, video=video, shard=dataset.shard, chunk=chunk.chunk, reason=chunk.reason)
                    )
                    break
                request.out[clip, place] = frame[0, top : top + height, left : left + width]
        if damage:
            raise DamagedClipsError(self.path, modality, tuple(damage), len(request.rows))
        return request.out if out is None else out

    def read_batches(
        self,
        modality: str,
        batches: Iterable[Sequence[tuple[str, int]]],
        length: int = 16,
        crop: Crop = None,
        *,
        prefetch_bytes: int = 256 << 20,
        stride: int = 1,
        verify: bool = False,
    ) -> Iterator[NDArray[Any]]:
        """``read_batch`` of one batch after the other, read ahead."""
        for clips in batches:
            yield self.read_batch(modality, clips, length, crop, stride=stride, verify=verify)

    def _find(self, video_id: str, modality: str) -> DatasetRow:
        rows = self._index.rows(video_id)
        for row in rows:
            if self._index.modality(row) == modality:
                return self._index.dataset(row)
        there = ", ".join(self._index.modality(row) for row in rows)
        raise UsageError(f"{video_id!r} has no modality {modality!r}: this cache holds {there}")

    def _read_chunks(self, row: DatasetRow, start: int, stop: int, out: NDArray[Any], verify: bool) -> None:
        """Fill ``out`` with the stored frames."""
        if start == stop:
            return
        first, last = start // row.chunk_frames, (stop - 1) // row.chunk_frames
        frame_items = math.prod(row.frame_shape)
        codec = make_codec(row.codec, row.dtype.itemsize, frame_items)
        chunk_bytes = row.chunk_frames * frame_items * row.dtype.itemsize
        checksums = self._index.chunk_checksums(row.row) if verify else None
        for chunk, data in self._compressed(row, first, last, codec.bound(chunk_bytes)):
            if checksums is not None and xxh64(data) != checksums[chunk]:
                raise _DamagedChunk(chunk, "its checksum does not match")
            chunk_start = chunk * row.chunk_frames
            lower, upper = max(start, chunk_start), min(stop, chunk_start + row.chunk_frames)
            target = out[lower - start : upper - start]
            try:
                if upper - lower == row.chunk_frames:
                    codec.decode(data, target.reshape(-1).view(np.uint8))
                else:
                    whole = self._scratch.decoded(chunk_bytes)
                    codec.decode(data, whole)
                    frames = whole.view(row.dtype).reshape(row.chunk_frames, *row.frame_shape)
                    target[:] = frames[lower - chunk_start : upper - chunk_start]
            except CacheError as error:
                raise _DamagedChunk(chunk, str(error)) from None

    def _compressed(self, row: DatasetRow, first: int, last: int, bound: int) -> Iterator[tuple[int, Buffer]]:
        """Compressed chunks ``first`` to ``last`` (included); each is valid until the next one."""
        offsets = row.chunk_offsets[first : last + 1].tolist()
        sizes = row.chunk_sizes[first : last + 1].tolist()
        if len(sizes) != last - first + 1 or max(sizes) > bound:
            raise _DamagedChunk(first, "the index has an impossible size for it")
        shard = self._shards.get(row.shard)
        span = offsets[-1] + sizes[-1] - offsets[0]
        if offsets == sorted(offsets) and span <= sum(sizes) + _GAP_BYTES:
            data = self._scratch.compressed(span)
            if read_exactly(shard.fd, data, offsets[0]):
                for index, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
                    begin = offset - offsets[0]
                    yield first + index, data[begin : begin + size]
                return
        # The writer lays chunks side by side; reading them one by one tells which one is cut off.
        for index, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            data = self._scratch.compressed(size)
            if not read_exactly(shard.fd, data, offset):
                raise _DamagedChunk(first + index, "its bytes are not there")
            yield first + index, data


class _DamagedChunk(Exception):
    def __init__(self, chunk: int, reason: str) -> None:
        super().__init__(reason)
        self.chunk = chunk
        self.reason = reason


class _Scratch(threading.local):
    """Buffers that a thread uses again for each read; memory fresh from the system costs as much as decompressing."""

    def __init__(self) -> None:
        self._compressed = self._decoded = np.empty(0, np.uint8)

    def compressed(self, size: int) -> Buffer:
        if self._compressed.size < size:
            self._compressed = np.empty(size, np.uint8)
        return self._compressed[:size]

    def decoded(self, size: int) -> Buffer:
        if self._decoded.size < size:
            self._decoded = np.empty(size, np.uint8)
        return self._decoded[:size]
