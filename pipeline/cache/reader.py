"""Reading a cache: a clip is a ``pread`` and a decompression, with no HDF5 in between."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .batch_reader import BatchReader
from .clip_damage import DamagedClipsError
from .clip_request import ClipRequest, Crop, Integers, check_request, integers, named_clips, positive, writable
from .entries import Failure
from .format import CacheHeader
from .index_table import HEIGHT, NUM_FRAMES, WIDTH, FrameFormat, IndexTable
from .memory_pool import MemoryPool
from .open_shards import OpenShards
from .video_info import VideoInfo, Videos
from .work_ahead import work_ahead


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
        self._reader = BatchReader(self._index, self._shards)
        self.videos: Mapping[str, VideoInfo] = Videos(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r}): {len(self)} videos, {', '.join(self.modalities)}"

    def __getstate__(self) -> tuple[str, str]:
        return os.fspath(self.path), self._index.seal

    def __setstate__(self, state: tuple[str, str]) -> None:
        path, seal = state
        self.__init__(path)  # type: ignore[misc]
        if self._index.seal != seal:  # who was given the cache may have positions of its videos, too
            raise CacheError(f"{path} has been indexed again since this cache was pickled, so open it anew")

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
        position = self._index.position(video_id)
        row = int(self._index.dataset_rows(modality)[position])
        if row < 0:
            raise UsageError(self._index.lacks(position, modality))
        dataset = self._index.dataset(row)
        stop = dataset.num_frames if stop is None else stop
        whole = hasattr(start, "__index__") and hasattr(stop, "__index__")
        if not whole or not 0 <= start <= stop <= dataset.num_frames:
            raise UsageError(
                f"frames {start}:{stop} of {video_id!r} do not exist: its {modality} has the frames "
                f"0:{dataset.num_frames}"
            )
        shape = (stop - start, *dataset.frame_shape)
        dtype = np.dtype(np.float32) if decode else dataset.dtype
        result = np.empty(shape, dtype) if out is None else writable(out, shape, dtype)
        stored = np.empty(shape, dataset.dtype) if decode else result
        if start < stop:
            frames = np.arange(start, stop)
            request = check_request(self._index, modality, np.array([position]), frames[None], None)
            self._fill(request, stored[None], verify, None)
        if decode:
            np.multiply(stored, np.float32(1 if dataset.scale_factor is None else dataset.scale_factor), out=result)
            if dataset.add_offset:
                result += np.float32(dataset.add_offset)
        return result if out is None else out

    def positions(self, video_ids: Iterable[str]) -> NDArray[np.int64]:
        """Places of videos in the order of ``videos``, ``(N,)``.

        Raises
        ------
        UnknownVideoError
            With ids that look alike.
        """
        return self._index.positions(list(video_ids))

    def video_ids(self, positions: Iterable[int]) -> list[str]:
        """Ids of the videos at places in the order of ``videos``; what ``positions`` undoes."""
        return [self._index.id(int(position)) for position in positions]

    def frame_counts(self, modality: str) -> NDArray[np.int64]:
        """How many frames of a modality each video has, ``(V,)`` by position; 0 where it has none."""
        rows = self._index.dataset_rows(modality)
        return np.where(rows < 0, 0, self._index.layouts[rows, NUM_FRAMES])

    def frame_sizes(self, modality: str) -> NDArray[np.int32]:
        """Height and width of each video's frames, ``(V, 2)`` by position; 0 where it has none."""
        rows = self._index.dataset_rows(modality)
        sizes = np.where(rows[:, None] < 0, 0, self._index.layouts[rows, HEIGHT : WIDTH + 1])
        return sizes.astype(np.int32)

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
        """Read clips of ``length`` frames, ``stride`` apart.

        Parameters
        ----------
        clips
            (video id, first frame) of each.

        The other parameters, what is returned and what is raised are those of ``read_frames``.
        """
        positions, frames = self._named(clips, length, stride)
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
        """Read any frames of any videos, in one call without Python in between.

        Parameters
        ----------
        positions
            ``(N,)`` integers: the video of each clip by its place in ``videos``.
        frames
            ``(N, L)`` integers: the frames of each clip, in any order; repeated ones are decompressed once.
        crop
            None for whole frames, which must be of one size; ``(h, w)`` at the centre of each clip's frames; or a box
            ``(y, x, h, w)`` for each clip, all of one size. Only what lies inside is put together and written.
        out
            C-contiguous array to fill, of the shape and dtype of the result: of NumPy, or a torch tensor in CPU memory,
            pinned or not.
        verify
            Compare each chunk with its checksum too. Without it, damage is noticed when it breaks the compression.
        num_threads
            At most so many threads; by default all cores of this process. With 1 no other thread is involved.

        Returns
        -------
        ndarray
            ``(N, L, h, w, C)`` as stored; ``out`` itself if that was given.

        Raises
        ------
        UsageError
            What does not exist was asked for, or ``out`` does not fit.
        DamagedClipsError
            Chunks are damaged. All clips but those that it names have been read.
        CacheError
            A shard is missing.
        """
        request = check_request(self._index, modality, positions, frames, crop)
        if num_threads is not None:
            positive(num_threads, "num_threads")
        result = np.empty(request.shape, request.dtype) if out is None else writable(out, request.shape, request.dtype)
        self._fill(request, result, verify, num_threads)
        return result if out is None else out

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
        num_threads: int | None = None,
    ) -> Iterator[NDArray[Any]]:
        """Yield ``read_batch`` of each of ``batches``, in order, read by threads while those before are in use.

        An error is raised in its batch's turn, and ends the iteration; closing the iterator ends the threads. Batches
        are memory of a pool: when the last view of one is gone, a later one takes its place.

        Parameters
        ----------
        batches
            What ``read_batch`` calls clips. Iterated by a thread.
        prefetch_bytes
            What batches that wait to be taken may take at most, though one is always read ahead.
        """
        budget = positive(prefetch_bytes, "prefetch_bytes")
        if num_threads is not None:
            positive(num_threads, "num_threads")
        pool = MemoryPool(budget)

        def request(clips: Sequence[tuple[str, int]]) -> ClipRequest:
            return check_request(self._index, modality, *self._named(clips, length, stride), crop)

        def read(request: ClipRequest) -> NDArray[Any]:
            out = pool.array(request.shape, request.dtype)
            self._fill(request, out, verify, num_threads)
            return out

        return work_ahead(map(request, batches), read, lambda request: request.num_bytes, budget)

    def _named(self, clips: Any, length: int, stride: int) -> tuple[Integers, Integers]:
        """Positions and frames of clips."""
        videos, starts = named_clips(clips)
        most = self._index.most_frames
        steps = np.arange(positive(length, "length", most)) * positive(stride, "stride", max(1, most - 1))
        return self._index.positions(videos), integers(starts, "first frames", "(clips,)", 1)[:, None] + steps

    def _fill(self, request: ClipRequest, out: NDArray[Any], verify: bool, num_threads: int | None) -> None:
        damage = self._reader.read(request, out, verify=verify, num_threads=num_threads)
        if damage:
            raise DamagedClipsError(self.path, request.modality, damage, len(request.rows))
