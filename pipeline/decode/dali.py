"""Decoding with NVIDIA DALI: on the GPU's NVDEC engines, or, for VP8, VP9 and MJPEG, with DALI's CPU backend."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import VideoError
from .dali_feed import Part, parts
from .dali_lane import Lane, LaneKind, lanes, on_device, require_dali
from .dali_support import matrix_correction, refusal
from .demux import StreamScan, scan
from .frames import FrameChunk, StreamInfo
from .sampling import pick_frames
from .size import FrameSize


def open_dali(
    path: str | Path,
    *,
    size: FrameSize | None = None,
    fps: Fraction | float | None = None,
    chunk_frames: int = 16,
    device: str = "cuda:0",
    num_threads: int = 1,
    lead: int = 0,
    scanned: StreamScan | None = None,
) -> DaliSource:
    """Open a video for decoding with DALI.

    Parameters
    ----------
    path
        The file.
    size
        Which size the frames are to have; ``None`` keeps the video's.
    fps
        Frames per second to pick by timestamp; ``None`` takes every frame.
    chunk_frames
        New frames a chunk holds at most, the first one ``lead`` more, and frames that DALI decodes at a time.
    device
        ``cpu`` or ``cuda:N``: where the frames are to be.
    num_threads
        CPU threads of the pipeline.
    lead
        Frames of the chunk before that the others begin with.
    scanned
        What ``demux.scan(path)`` returned, if it was called already.

    Returns
    -------
    DaliSource
        A ``FrameSource``; its first frames are already decoded.

    Raises
    ------
    VideoError
        ``open``: not a video. ``decode``: damaged, or DALI cannot take it: ``refusal`` says why, or DALI itself when
        it comes to the first frames. The CPU decoder has the last word on such a video.
    MissingExtraError
        If DALI is not installed.
    """
    if chunk_frames < 1:
        raise ValueError(f"chunk_frames must be at least 1, got {chunk_frames}")
    require_dali(device)
    path = Path(path)
    scanned = scanned or scan(path)
    reason = refusal(scanned, device)
    if reason is not None:
        raise VideoError("decode", f"DALI does not take it: {reason}")
    source = DaliSource(
        path, scanned, size=size, fps=fps, chunk_frames=chunk_frames, device=device, num_threads=num_threads, lead=lead
    )
    try:
        source.wait()
    except VideoError:
        source.close()
        raise
    return source


class DaliSource:
    """A ``FrameSource`` on a DALI pipeline, of a video that there is no ``refusal`` of.

    Parameters are those of ``open_dali``, which also waits for the first frames. Here DALI's threads have begun with
    them, so that several sources can be opened before any of them is waited for.
    """

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
        lead: int = 0,
    ) -> None:
        assert scanned.format is not None
        self.info = scanned.info
        self._scan = scanned
        self._device = device
        self._chunk_frames = chunk_frames
        self._lead = lead
        shown = (self.info.height, self.info.width)
        self._size = size.resolve(*shown) if size is not None else shown
        self._part: Part | None = None
        self._end = 0  # of the frames fed so far
        self._position = 0  # of the next window's first frame
        self._ready: Any = None  # a window that was waited for and not handed on
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
        chunk = _Chunk(self._chunk_frames + self._lead, self._size, self._device)
        while self._part is not None:
            full: FrameChunk | None = None
            first, frames = self._position, self._window()
            # outputs that show a frame of this window: `indices` does not decrease
            begin, end = np.searchsorted(self._indices, (first, first + len(frames)))
            while begin < end:
                taken = min(chunk.room, end - begin)
                chunk.append(self._upright(frames), self._indices[begin : begin + taken] - first)
                begin += taken
                if chunk.room == 0:
                    if full is not None:  # a low rate at a high `fps`: a window fills many chunks
                        yield full
                    full = chunk.finish(int(begin), self._times)
                    chunk = chunk.next(self._lead)
            self._advance(frames)
            if full is not None:  # only now, so that the next window is decoded while the receiver works
                yield full
        if chunk.count > chunk.lead:
            yield chunk.finish(len(self._indices), self._times)

    def _feed_next(self) -> Part | None:
        """Feed the next part, if there is one, and start its first window."""
        assert self._lane is not None
        part = next(self._parts, None)
        if part is not None:
            height, width = self._size
            stored = (width, height) if self.info.rotation in (90, 270) else (height, width)
            self._end += part.num_frames
            self._lane.feed(part.data, stored, self._matrix)
            self._lane.schedule()
        return part

    def wait(self) -> None:
        """Wait until the next frames are decoded; ``VideoError`` if they are not those that are due."""
        if self._part is None or self._ready is not None:
            return
        assert self._lane is not None, "the source was closed"
        frames, source = self._lane.collect()
        expected = (min(self._chunk_frames, self._end - self._position), *self._scan.stored)
        if source != expected:
            raise VideoError("decode", f"DALI gave {_sizes(source)} where {_sizes(expected)} were due")
        self._ready = frames

    def _window(self) -> Any:
        """Return the next frames, in DALI's memory, until ``_advance``."""
        self.wait()
        frames, self._ready = self._ready, None
        return frames

    def _advance(self, frames: Any) -> None:
        """Give a window back and start the next one."""
        assert self._lane is not None
        self._lane.release(frames)
        self._position += len(frames)
        if self._position < self._end:
            self._lane.schedule()
        else:
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
        self.count = self.lead = 0

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
        start = end - (self.count - self.lead)
        frames = self._frames[: self.count]
        return FrameChunk(frames=frames, start=start, times=times[start:end].copy(), lead=self.lead)

    def next(self, lead: int) -> _Chunk:
        """Return the one after this, which is full: it begins with the last ``lead`` frames of this one."""
        following = _Chunk(self._capacity, self._frames.shape[1:3], self._device)
        with on_device(self._device):
            following._frames[:lead] = self._frames[self._capacity - lead :]
        following.count = following.lead = lead
        return following


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"
