"""Decoding with NVIDIA DALI: on the GPU's NVDEC engines, or, for VP8, VP9 and MJPEG, with DALI's CPU backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import VideoError
from .dali_feed import Part, parts
from .dali_lane import Lane, LaneKind, lanes, on_device, require_dali
from .dali_support import can_take, matrix_correction, shares_decoder
from .demux import StreamScan, scan
from .frames import FrameChunk, StreamInfo
from .sampling import pick_frames
from .size import FrameSize

IN_FLIGHT = 8  # videos at once: more than any GPU has NVDEC engines (7), so that none waits


def open_dali(
    path: str | Path,
    *,
    size: FrameSize | None = None,
    fps: Fraction | float | None = None,
    chunk_frames: int = 16,
    device: str = "cuda:0",
    num_threads: int = 1,
    scanned: StreamScan | None = None,
) -> DaliSource:
    """Open a video for decoding with DALI. Decoding of the first frames begins at once, on DALI's threads.

    Parameters
    ----------
    path
        The file.
    size
        Which size the frames are to have; ``None`` keeps the video's.
    fps
        Frames per second to pick by timestamp; ``None`` takes every frame.
    chunk_frames
        Frames a chunk holds at most, and frames that DALI decodes at a time.
    device
        ``cpu`` or ``cuda:N``: where the frames are to be.
    num_threads
        CPU threads of the pipeline.
    scanned
        What ``demux.scan(path)`` returned, if it was called already.

    Returns
    -------
    DaliSource
        A ``FrameSource``.

    Raises
    ------
    VideoError
        ``open``: not a video. ``decode``: damaged, or DALI cannot take it (``can_take`` says why).
    MissingExtraError
        If DALI is not installed.
    """
    if chunk_frames < 1:
        raise ValueError(f"chunk_frames must be at least 1, got {chunk_frames}")
    require_dali(device)
    path = Path(path)
    scanned = scanned or scan(path)
    reason = can_take(scanned, device)
    if reason is None and device != "cpu":
        reason = shares_decoder(scanned)
    if reason is not None:
        raise VideoError("decode", f"DALI does not take it: {reason}")
    return DaliSource(
        path, scanned, size=size, fps=fps, chunk_frames=chunk_frames, device=device, num_threads=num_threads
    )


def decode_many(
    videos: Iterable[str | Path],
    *,
    size: FrameSize | None = None,
    fps: Fraction | float | None = None,
    chunk_frames: int = 16,
    device: str = "cuda:0",
    in_flight: int = IN_FLIGHT,
) -> Iterator[tuple[int, FrameChunk | VideoError | None]]:
    """Decode many videos, several at a time, and yield their chunks as they come.

    Parameters
    ----------
    videos
        The files; taken from the iterable only when a place is free.
    size, fps, chunk_frames, device
        As for ``open_dali``.
    in_flight
        Videos decoded at the same time, each in a pipeline of its own.

    Yields
    ------
    index, item
        The video's place in ``videos``, and its next ``FrameChunk``; ``None`` after its last one; or the ``VideoError``
        that ends it, chunks yielded before included. The chunks of one video come in order.
    """
    if in_flight < 1:
        raise ValueError(f"in_flight must be at least 1, got {in_flight}")
    waiting = enumerate(videos)
    active: deque[tuple[int, DaliSource, Iterator[FrameChunk]]] = deque()
    try:
        more = True
        while more or active:
            while more and len(active) < in_flight:
                following = next(waiting, None)
                if following is None:
                    more = False
                    break
                index, path = following
                try:
                    source = open_dali(path, size=size, fps=fps, chunk_frames=chunk_frames, device=device)
                except VideoError as error:
                    yield index, error
                    continue
                active.append((index, source, iter(source)))
            if not active:
                continue
            index, source, chunks = active.popleft()
            try:
                chunk = next(chunks, None)
            except VideoError as error:
                source.close()
                yield index, error
                continue
            if chunk is None:
                source.close()
            else:
                active.append((index, source, chunks))
            yield index, chunk
    finally:
        for _, source, _ in active:
            source.close()


class DaliSource:
    """A ``FrameSource`` on a DALI pipeline; made by ``open_dali``."""

    decoder = "dali"
    info: StreamInfo

    def __init__(
        self,
        path: Path,
        scanned: StreamScan,
        *,
        size: FrameSize | None,
        fps: Fraction | float | None,
        chunk_frames: int,
        device: str,
        num_threads: int,
    ) -> None:
        assert scanned.format is not None
        self.info = scanned.info
        self._scan = scanned
        self._device = device
        self._chunk_frames = chunk_frames
        shown = (self.info.height, self.info.width)
        self._size = size.resolve(*shown) if size is not None else shown
        self._part: Part | None = None
        self._matrix = matrix_correction(scanned.format)
        self._indices, self._times = pick_frames(scanned.times, fps, self.info.fps)
        kind = LaneKind(device=device, window=chunk_frames, recolour=self._matrix is not None, num_threads=num_threads)
        self._parts = parts(path, scanned)
        self._lane: Lane | None = lanes.take(kind)
        try:
            self._part = self._feed_next()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop decoding and free what it holds. Safe to call twice."""
        self._parts.close()
        if self._lane is not None:
            lane, self._lane = self._lane, None
            if self._part is not None:  # windows are left in it
                lane.healthy = False
            lanes.give_back(lane)

    def __iter__(self) -> Iterator[FrameChunk]:
        """Yield the chunks, once; ``VideoError`` if fewer frames come than there are packets."""
        chunk = _Chunk(self._chunk_frames, self._size, self._device)
        for first, frames in self._windows():
            # outputs that show a frame of this window: `indices` does not decrease
            begin, end = np.searchsorted(self._indices, (first, first + len(frames)))
            while begin < end:
                taken = min(chunk.room, end - begin)
                chunk.append(self._upright(frames), self._indices[begin : begin + taken] - first)
                begin += taken
                if chunk.room == 0:
                    yield chunk.finish(int(begin), self._times)
                    chunk = _Chunk(self._chunk_frames, self._size, self._device)
        if chunk.count:
            yield chunk.finish(len(self._indices), self._times)

    def _feed_next(self) -> Part | None:
        """Feed the next part, if there is one, and start its first window."""
        assert self._lane is not None
        part = next(self._parts, None)
        if part is not None:
            height, width = self._size
            stored = (width, height) if self.info.rotation in (90, 270) else (height, width)
            self._lane.feed(part.data, stored, self._matrix)
            self._lane.schedule()
        return part

    def _windows(self) -> Iterator[tuple[int, Any]]:
        """Yield ``(index of the first frame, frames)``; a window is only valid until the next one is asked for."""
        position = 0
        while self._part is not None:
            assert self._lane is not None, "the source was closed"
            end = position + self._part.num_frames
            while position < end:
                if not self._lane.pending:
                    self._lane.schedule()
                frames, source = self._lane.collect()
                expected = (min(self._chunk_frames, end - position), *self._scan.stored)
                if source != expected:
                    raise VideoError("decode", f"DALI gave {_sizes(source)} where {_sizes(expected)} were due")
                yield position, frames
                self._lane.release(frames)
                position += len(frames)
            self._part = self._feed_next()

    def _upright(self, frames: Any) -> Any:
        """Return a view of the frames, turned as the stream says."""
        turns = self.info.rotation // 90  # clockwise
        if turns == 0:
            return frames
        if turns == 2:
            return frames[:, ::-1, ::-1]
        turned = frames.transpose(0, 2, 1, 3)
        return turned[:, :, ::-1] if turns == 1 else turned[:, ::-1]


class _Chunk:
    """Frames being copied out of DALI's memory, so that the receiver owns them.

    On the GPU everything happens on the current CuPy stream: memory is taken, written and later read in that order.
    """

    def __init__(self, capacity: int, size: tuple[int, int], device: str) -> None:
        self._device = device
        self._xp: Any = np
        if device != "cpu":
            import cupy

            self._xp = cupy
        with on_device(device):
            self._frames = self._xp.empty((capacity, *size, 3), np.uint8)
        self._capacity = capacity
        self.count = 0

    @property
    def room(self) -> int:
        return self._capacity - self.count

    def append(self, frames: Any, indices: NDArray[np.int64]) -> None:
        """Copy ``frames[indices]`` in; indices do not decrease, and mostly are consecutive."""
        with on_device(self._device):
            target = self._frames[self.count : self.count + len(indices)]
            if indices[-1] - indices[0] == len(indices) - 1 and np.all(np.diff(indices) == 1):
                target[...] = frames[indices[0] : indices[-1] + 1]
            else:
                target[...] = frames[self._xp.asarray(indices)]
        self.count += len(indices)

    def finish(self, end: int, times: NDArray[np.float64]) -> FrameChunk:
        """Return the chunk whose last output is number ``end - 1``."""
        start = end - self.count
        return FrameChunk(frames=self._frames[: self.count], start=start, times=times[start:end].copy())


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"
