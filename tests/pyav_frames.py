"""All the frames that the CPU decoder gives of a video, and how far two pictures are apart."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.decode.pyav import open_pyav

CLOSE = 1.5  # grey levels on average between our conversion and swscale's: they interpolate chroma differently


def frames_of(
    path: Path, *, size: tuple[int, int] | None = None, fps: Fraction | int | None = None, chunk_frames: int = 8
) -> NDArray[np.uint8]:
    """All frames of a video, at its own size by default."""
    return chunks_of(path, size=size, fps=fps, chunk_frames=chunk_frames)[0]


def chunks_of(
    path: Path, *, size: tuple[int, int] | None, fps: Fraction | int | None, chunk_frames: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64], list[int]]:
    """All frames, their times, and how many each chunk held."""
    if size is None:
        size = native_size(path)
    source = open_pyav(
        path,
        size=FrameSize(height=size[0], width=size[1]),
        fps=None if fps is None else Fraction(fps),
        chunk_frames=chunk_frames,
    )
    frames, times, starts = [], [], []
    try:
        for chunk in source:  # valid until the next one is asked for
            frames.append(chunk.frames.copy())
            times.append(chunk.times.copy())
            starts.append(chunk.start)
    finally:
        source.close()
    counts = [len(part) for part in frames]
    assert starts == [0, *itertools.accumulate(counts)][:-1]
    return np.concatenate(frames), np.concatenate(times), counts


def native_size(path: Path) -> tuple[int, int]:
    """Displayed ``(height, width)``."""
    source = open_pyav(path, size=FrameSize(short_side=8))
    source.close()
    return source.info.height, source.info.width


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference in grey levels; the shapes must agree."""
    assert first.shape == second.shape
    return float(np.abs(first.astype(np.int16) - second).mean())
