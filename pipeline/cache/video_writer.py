"""One video on its way into a shard: its datasets, compressed and kept aside until all of it is known to be good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .chunk_stream import ChunkStream
from .entries import DatasetSpec, VideoEntry
from .spool import Spool


class VideoWriter:
    """The datasets of one video, handed out by ``ShardWriter.video``.

    Parameters
    ----------
    spool
        Where its compressed chunks wait; its own until the video is stored or given up.
    open_stream
        Makes the stream of a dataset into a spool.
    """

    def __init__(self, spool: Spool, open_stream: Callable[[DatasetSpec, Spool], ChunkStream]) -> None:
        self.streams: dict[str, ChunkStream] = {}
        self.entry: VideoEntry | None = None
        self._spool = spool
        self._open_stream = open_stream

    def add_dataset(self, spec: DatasetSpec) -> None:
        """Start a modality. Datasets are stored in the order they are added."""
        assert spec.modality not in self.streams, spec.modality
        self.streams[spec.modality] = self._open_stream(spec, self._spool)

    def write(self, modality: str, frames: NDArray[Any]) -> None:
        """Append ``(n, H, W, C)`` frames, n >= 1. The array is the caller's again on return."""
        self.streams[modality].write(frames)

    def room(self, modality: str) -> NDArray[Any]:
        """Return a view of frames to be filled in place, at least one, which spares ``write`` its copy.

        Valid until ``advance``; fill it from its start.
        """
        return self.streams[modality].room()

    def advance(self, modality: str, count: int) -> None:
        """Take the first ``count`` frames of ``room`` as written."""
        self.streams[modality].advance(count)

    @property
    def bytes_written(self) -> int:
        """Compressed bytes so far, over all modalities; chunks that are still being compressed do not count yet."""
        return sum(stream.num_bytes for stream in self.streams.values())

    def describe(self, entry: VideoEntry) -> None:
        """Say what the video was; needed once before the block ends."""
        self.entry = entry
