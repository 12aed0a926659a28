"""Reading a cache: a clip is a ``pread`` and a decompression, with no HDF5 in between."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .checksum import xxh64
from .codecs import Buffer, make_codec
from .entries import Failure
from .format import CacheHeader, shard_path
from .index_table import DatasetRow, IndexTable
from .open_shards import OpenShards
from .shard_bytes import read_exactly

_GAP_BYTES = 1 << 16  # reading this much for nothing costs less than another read


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
        self.videos: Mapping[str, VideoInfo] = _Videos(self._index)

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


class _Videos(Mapping[str, VideoInfo]):
    """Descriptions of the videos, made when asked for."""

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
