"""No store at all: seeking in the source videos, decoding, resizing, differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .case import BATCH, CROP, FRAME, LENGTH, Batches, Clip, Contender, Task

HEIGHT, WIDTH = FRAME[:2]

Decode = Callable[[Path, int, int], Any]  # of a file, frames from, how many: (T, HEIGHT, WIDTH, 3) uint8


def residual_clips(task: Task, decode: Decode) -> Callable[[], Batches]:
    """Clips of absolute differences of neighbouring frames."""
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def fill(clip: Clip, target: Any) -> None:
        frames = decode(task.sources[clip.video], clip.start, LENGTH + 1)
        frames = frames[:, clip.y : clip.y + CROP[0], clip.x : clip.x + CROP[1]]
        np.subtract(np.maximum(frames[1:], frames[:-1]), np.minimum(frames[1:], frames[:-1]), out=target)

    def epoch() -> Batches:
        for batch in task.batches:
            for i, number in enumerate(batch):
                fill(task.clips[number], out[i])
            yield out[: len(batch)]

    return epoch


def decord(task: Task) -> Callable[[], Batches]:
    from decord import VideoReader, cpu

    @cache
    def reader(path: Path) -> Any:
        return VideoReader(str(path), ctx=cpu(0), width=WIDTH, height=HEIGHT)

    return residual_clips(
        task, lambda path, start, count: reader(path).get_batch(range(start, start + count)).asnumpy()
    )


def pyav(task: Task) -> Callable[[], Batches]:
    import av

    @cache
    def video(path: Path) -> tuple[Any, list[int]]:
        container = av.open(str(path))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return container, times

    def decode(path: Path, start: int, count: int) -> Any:
        container, times = video(path)
        stream = container.streams.video[0]
        container.seek(times[start], stream=stream)  # to the key frame before it
        out = np.empty((count, *FRAME), np.uint8)
        done = 0
        for frame in container.decode(stream):
            if frame.pts >= times[start]:
                out[done] = frame.to_ndarray(width=WIDTH, height=HEIGHT, format="rgb24")
                done += 1
                if done == count:
                    break
        return out

    return residual_clips(task, decode)


CONTENDERS = (
    Contender(
        name="decord: seek, decode, resize, difference",
        open=decord,
        group="decoding",
        needs=("decord",),
        stores=None,
        share=1 / 64,
        exact=False,
    ),
    Contender(
        name="PyAV: seek, decode, resize, difference",
        open=pyav,
        group="decoding",
        stores=None,
        share=1 / 64,
        exact=False,
    ),
)
