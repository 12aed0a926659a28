"""Frames that were decoded on the CPU, handed on as arrays of a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from .dali_lane import on_device
from .frames import FrameChunk, FrameSource


class UploadedSource:
    """A ``FrameSource`` that copies another one's chunks to a GPU.

    Parameters
    ----------
    source
        Gives NumPy frames; closed with this one.
    device
        ``cuda:N``: where the CuPy frames are to be. They are ready on CuPy's current stream.
    """

    def __init__(self, source: FrameSource, device: str) -> None:
        self.info = source.info
        self.decoder = source.decoder
        self._source = source
        self._device = device

    def __iter__(self) -> Iterator[FrameChunk]:
        """Yield the chunks, once; the receiver owns their frames."""
        import cupy

        for chunk in self._source:
            with on_device(self._device):
                frames = cupy.asarray(chunk.frames)  # has read its source on return, so that may be used again
            yield FrameChunk(frames=frames, start=chunk.start, times=chunk.times, lead=chunk.lead)

    def close(self) -> None:
        self._source.close()
