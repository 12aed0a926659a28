"""Decoding in a thread of its own gives the same chunks, the same errors, and ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from vidprep.pipeline.decode import FrameChunk
from vidprep.pipeline.decode.frames import StreamInfo
from vidprep.pipeline.decode.read_ahead import ReadAheadSource
from vidprep.pipeline.errors import VideoError


class CountingSource:
    """Chunks 0, 1, 2, ... of one frame each, all in one buffer; then an error, if there is one."""

    info = StreamInfo(codec="h264", pixel_format="yuv420p", width=2, height=2, fps=Fraction(25), rotation=0)
    decoder = "pyav"

    def __init__(self, num_chunks: int, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = False
        self.threads: set[int] = set()
        self._num_chunks = num_chunks
        self._error = error

    def __iter__(self) -> Iterator[FrameChunk]:
        frames = np.empty((1, 2, 2, 3), np.uint8)
        for number in range(self._num_chunks):
            self.threads.add(threading.get_ident())
            frames[:] = number
            self.given += 1
            yield FrameChunk(frames=frames, start=number, times=np.zeros(1))
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed = True


def test_chunks_are_the_sources_own_and_last() -> None:
    source = CountingSource(20)
    ahead = ReadAheadSource(source)
    chunks = list(ahead)
    ahead.close()
    assert [chunk.start for chunk in chunks] == [int(chunk.frames[0, 0, 0, 0]) for chunk in chunks] == list(range(20))
    assert source.closed
    assert len(source.threads - {threading.get_ident()}) == 1
    assert (ahead.info, ahead.decoder) == (source.info, "pyav")


def test_an_error_comes_after_the_chunks_before_it() -> None:
    ahead = ReadAheadSource(CountingSource(3, VideoError("decode", "damaged")))
    seen = []
    with pytest.raises(VideoError, match="damaged"):
        seen.extend(chunk.start for chunk in ahead)
    ahead.close()
    chunks = iter(ReadAheadSource(CountingSource(3, VideoError("decode", "damaged"))))
    assert [next(chunks).start for _ in range(3)] == [0, 1, 2]


def test_it_is_at_most_one_chunk_ahead_and_stops_when_closed() -> None:
    source = CountingSource(1000)
    ahead = ReadAheadSource(source)
    chunks = iter(ahead)
    next(chunks)
    ahead.close()  # with a chunk under way
    assert source.closed
    assert source.given <= 2
    ReadAheadSource(CountingSource(3)).close()  # never begun
