"""One modality of one video, from chunks of frames into the writer, wherever the chunks begin and end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels._backend import is_cupy
from .cache import DatasetSpec, VideoWriter
from .decode import FrameChunk
from .devices import to_host
from .errors import VideoError
from .modalities import Modality


class ModalityStream:
    """Computes and writes what a chunk's frames and its lead give.

    Parameters
    ----------
    modality
        What to compute.
    step
        Distance in frames of its two pictures.
    out
        The video's writer.
    """

    def __init__(self, modality: Modality, step: int, out: VideoWriter) -> None:
        self._modality = modality
        self._step = step
        self._halo = modality.halo(step)
        self._out = out
        self._declared = False

    def add(self, chunk: FrameChunk) -> None:
        """Compute and write the items of the next chunk; its frames are the caller's again then."""
        assert chunk.lead >= min(self._halo, chunk.start), chunk
        frames = chunk.frames[max(0, chunk.lead - self._halo) :]
        if not self._declared:
            self._declare(frames.shape[1:3])
        if is_cupy(frames):
            self._compute_on_device(frames)
        else:
            self._compute(frames)

    def check(self, num_frames: int) -> None:
        """Raise ``VideoError`` if ``num_frames``, all that were added, were too few for a single item."""
        if num_frames <= self._halo:
            frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
            raise VideoError(
                "compute",
                f"too short: {self._modality.name} with step {self._step} needs at least {self._halo + 1} frames, "
                f"and this video has {frames}",
            )

    def _compute(self, frames: NDArray[np.uint8]) -> None:
        """Compute the items of consecutive frames, straight into the chunks that are being filled."""
        done, count = 0, len(frames) - self._halo
        while done < count:
            room = self._out.room(self._modality.name)
            part = frames[done : done + len(room) + self._halo]
            taken = len(part) - self._halo
            self._modality.compute(part, self._step, room[:taken])
            self._out.advance(self._modality.name, taken)
            done += taken

    def _compute_on_device(self, frames: Any) -> None:
        """Compute the items of consecutive frames with one launch, and fetch them with one copy."""
        import cupy

        count = len(frames) - self._halo
        if count > 0:
            items = cupy.empty((count, *frames.shape[1:3], self._modality.channels), self._modality.dtype)
            self._modality.compute(frames, self._step, items)
            self._out.write(self._modality.name, to_host(items))

    def _declare(self, size: tuple[int, int]) -> None:
        self._out.add_dataset(
            DatasetSpec(
                modality=self._modality.name,
                height=size[0],
                width=size[1],
                channels=self._modality.channels,
                dtype=self._modality.dtype,
            )
        )
        self._declared = True
