"""One modality of one video, from chunks of frames into the writer, wherever the chunks begin and end."""

from __future__ import annotations

from collections.abc import Sequence

from ..kernels._backend import is_cupy
from .cache import DatasetSpec, VideoWriter
from .cache.atomic import readable_bytes
from .cache.codecs import MAX_CHUNK_BYTES
from .config import ExtractConfig
from .decode import FrameChunk
from .devices import to_host
from .errors import VideoError
from .modalities import Modality, get_modality
from .motion_frames import MotionFrames


class ModalityStream:
    """Computes and writes what a chunk's frames and its lead give.

    Parameters
    ----------
    modality
        What to compute.
    config
        Of the extraction.
    out
        The video's writer.
    """

    def __init__(self, modality: Modality, config: ExtractConfig, out: VideoWriter) -> None:
        self._modality = modality
        self._stored = modality.stored(config.motion)
        self._chunk_frames = config.chunk_frames
        self._halo = modality.halo(config.step)
        self._out = out
        self._declared = False

    def add(self, chunk: FrameChunk, frames: MotionFrames) -> None:
        """Compute and write the items of the next chunk, given its frames with all that is shared of them.

        The frames are the caller's again then.
        """
        assert chunk.lead >= min(self._halo, chunk.start), chunk
        first, stop = max(0, chunk.lead - self._halo), len(chunk.frames) - self._halo
        if not self._declared:
            self._declare(chunk.frames.shape[1:3])
        if is_cupy(chunk.frames):
            self._compute_on_device(frames, first, stop)
        else:
            self._compute(frames, first, stop)

    def _compute(self, frames: MotionFrames, first: int, stop: int) -> None:
        """Compute the items ``first`` to ``stop`` (excluded), straight into the chunks that are being filled."""
        while first < stop:
            room = self._out.room(self._modality.name)[: stop - first]
            self._modality.compute(frames, first, first + len(room), room)
            self._out.advance(self._modality.name, len(room))
            first += len(room)

    def _compute_on_device(self, frames: MotionFrames, first: int, stop: int) -> None:
        """Compute the items ``first`` to ``stop`` (excluded) at once, and fetch them with one copy."""
        import cupy

        if first < stop:
            shape = (stop - first, *frames.frames.shape[1:3], self._stored.channels)
            items = cupy.empty(shape, self._stored.dtype)
            self._modality.compute(frames, first, stop, items)
            self._out.write(self._modality.name, to_host(items))

    def _declare(self, size: tuple[int, int]) -> None:
        spec = DatasetSpec(
            modality=self._modality.name,
            height=size[0],
            width=size[1],
            channels=self._stored.channels,
            dtype=self._stored.dtype,
            scale_factor=self._stored.scale_factor,
            add_offset=self._stored.add_offset,
        )
        if spec.frame_bytes * self._chunk_frames > MAX_CHUNK_BYTES:
            raise VideoError(
                "compute",
                f"{spec.modality} of {size[1]}x{size[0]} pixels takes {readable_bytes(spec.frame_bytes)} an item, and "
                f"{readable_bytes(MAX_CHUNK_BYTES // self._chunk_frames)} is the most: choose a smaller size or radius",
            )
        self._out.add_dataset(spec)
        self._declared = True


def check_length(config: ExtractConfig, num_frames: int) -> None:
    """Raise ``VideoError`` if a video of ``num_frames`` is too short for a single item of one of its modalities.

    A video is stored with all modalities or not at all: whoever trains on several may count on them.
    """
    least = {name: get_modality(name).halo(config.step) + 1 for name in config.modalities}
    lacking = [name for name in config.modalities if num_frames < least[name]]
    if not lacking:
        return
    reason = (
        f"too short: {_listed(lacking)} with step {config.step} {'needs' if len(lacking) == 1 else 'need'} at least "
        f"{_frames(max(least.values()))}, and this video has {_frames(num_frames)}"
    )
    others = [name for name in config.modalities if name not in lacking]
    if others:
        reason += (
            f"; that is enough for {_listed(others)}, but a cache holds all modalities of a video or none: extract "
            f"{_listed(others)} into a cache of its own"
        )
    raise VideoError("compute", reason)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _frames(number: int) -> str:
    return "1 frame" if number == 1 else f"{number} frames"
