"""Sequences laid out as the Middlebury optical-flow set: ``NAME/frame10.png``, ``frame11.png``, ``flow10.flo``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from report import ROOT

BESIDE = ROOT.parent / "shared" / "data" / "middlebury"
_FILES = ("frame10.png", "frame11.png", "flow10.flo")
_FLO_MAGIC = 202021.25
_UNKNOWN = 1e9  # larger components mean that the motion there is not known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequence:
    """Two frames and the motion between them.

    Parameters
    ----------
    name
        Of the folder.
    frame0, frame1
        ``(H, W)`` uint8 gray.
    colours0, colours1
        The same as ``(H, W, 3)`` uint8 RGB.
    flow
        ``(H, W, 2)`` float32, from the first to the second.
    known
        ``(H, W)`` bool, where ``flow`` says something.
    """

    name: str
    frame0: NDArray[np.uint8]
    frame1: NDArray[np.uint8]
    colours0: NDArray[np.uint8]
    colours1: NDArray[np.uint8]
    flow: NDArray[np.float32]
    known: NDArray[np.bool_]

    def end_point_error(self, flow: NDArray[np.float32]) -> float:
        """Return the mean distance of a flow's vectors from the true ones, in pixels."""
        return float(np.sqrt(((flow - self.flow) ** 2).sum(axis=-1))[self.known].mean())

    def angular_error(self, flow: NDArray[np.float32]) -> float:
        """Return the mean angle between (x, y, 1) of both flows, in degrees (Barron et al. 1994)."""
        mine, true = (np.concatenate([f, np.ones_like(f[..., :1])], -1, dtype=np.float64) for f in (flow, self.flow))
        cosine = (mine * true).sum(-1) / np.linalg.norm(mine, axis=-1) / np.linalg.norm(true, axis=-1)
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))[self.known].mean())

    def reduced(self, factor: int) -> Sequence:
        """Return the sequence at a whole fraction of its size: means over squares of ``factor`` pixels a side."""
        height, width = (size // factor * factor for size in self.known.shape)

        def means(array: NDArray[Any]) -> NDArray[np.float64]:
            squares = array[:height, :width].reshape(height // factor, factor, width // factor, factor, -1)
            return squares.mean(axis=(1, 3), dtype=np.float64)

        frames = (self.frame0, self.frame1, self.colours0, self.colours1)
        frame0, frame1, colours0, colours1 = (np.round(means(frame)).astype(np.uint8) for frame in frames)
        return Sequence(
            name=self.name,
            frame0=frame0[..., 0],
            frame1=frame1[..., 0],
            colours0=colours0,
            colours1=colours1,
            flow=(means(self.flow) / factor).astype(np.float32),
            known=means(self.known)[..., 0] == 1,
        )


def read_sequences(folder: Path) -> Iterator[Sequence]:
    """Read all sequences of a folder, by name.

    Raises
    ------
    SystemExit
        If there is none.
    """
    names = sorted(path.parent.name for path in folder.glob(f"*/{_FILES[-1]}"))
    if not names:
        raise SystemExit(f"there is no sequence in {folder}: give a folder with NAME/{{{', '.join(_FILES)}}}")
    for name in names:
        colours0, colours1 = (read_colours(folder / name / file) for file in _FILES[:2])
        flow = read_flo(folder / name / _FILES[2])
        known = (np.abs(flow) < _UNKNOWN).all(axis=-1)
        yield Sequence(
            name=name,
            frame0=gray(colours0),
            frame1=gray(colours1),
            colours0=colours0,
            colours1=colours1,
            flow=np.where(known[..., None], flow, 0),
            known=known,
        )


def read_colours(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, ``(H, W, 3)``."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def gray(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``(H, W)``: 0.299 R + 0.587 G + 0.114 B, rounded."""
    return np.round(colours @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def read_flo(path: Path) -> NDArray[np.float32]:
    """Read a ``.flo`` file: a magic number, width, height, and x, y of every pixel, little-endian.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != _FLO_MAGIC:
        raise ValueError(f"{path} is no .flo file: it must begin with the number {_FLO_MAGIC}")
    width, height = np.frombuffer(data, "<i4", 2, 4)
    return np.frombuffer(data, "<f4", height * width * 2, 12).reshape(height, width, 2).astype(np.float32)
