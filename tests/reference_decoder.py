"""What FFmpeg makes of a video by itself: a full decode, swscale, and its filters."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

_EXACT = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


def to_rgb(frame: av.VideoFrame, **options: object) -> NDArray[np.uint8]:
    """Convert a frame with swscale at its own size; ``options`` of ``av.VideoFrame.reformat``."""
    return frame.reformat(format="rgb24", interpolation=_EXACT, **options).to_ndarray()


def decode(path: Path, **options: object) -> NDArray[np.uint8]:
    """Decode every frame in FFmpeg's order: ``(T, H, W, 3)`` uint8, not rotated."""
    with av.open(str(path)) as container:
        return np.stack([to_rgb(frame, **options) for frame in container.decode(video=0)])


def filtered(path: Path, *filters: tuple[str, str]) -> NDArray[np.uint8]:
    """Decode and filter, as ``ffmpeg -vf`` does: ``(T, H, W, 3)`` uint8. Filters are ``(name, arguments)``."""
    frames = []
    with av.open(str(path)) as container:
        graph = Graph()
        nodes = [graph.add_buffer(template=container.streams.video[0])]
        nodes += [graph.add(name, arguments or None) for name, arguments in filters]
        nodes.append(graph.add("buffersink"))
        for node, following in itertools.pairwise(nodes):
            node.link_to(following)
        graph.configure()
        for frame in container.decode(video=0):
            graph.push(frame)
            frames += _pulled(graph)
        graph.push(None)
        frames += _pulled(graph)
    return np.stack(frames)


def _pulled(graph: Graph) -> list[NDArray[np.uint8]]:
    frames = []
    while True:
        try:
            frames.append(to_rgb(graph.pull()))
        except (av.BlockingIOError, av.EOFError):
            return frames
