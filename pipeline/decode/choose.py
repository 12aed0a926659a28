"""Who decodes a video: DALI on a GPU where it can, PyAV everywhere else."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from .frames import FrameSource
from .size import FrameSize


def open_frames(
    path: Path, *, size: FrameSize, fps: Fraction | None, chunk_frames: int, device: str, decoder: str
) -> tuple[FrameSource, str]:
    from .pyav import open_pyav

    return open_pyav(path, size=size, fps=fps, chunk_frames=chunk_frames), ""
