"""How many frames a chunk should have: size of the cache and time to read random 16-frame clips, per codec.

    python benchmarks/chunking.py VIDEO... [--frames 240] [--clips 300]

Decodes each video, makes 128x170 residual frames, writes them with every codec and chunk length, and reads clips back
through ``Cache.read`` on one thread from the page cache. Prints a Markdown table: the best of several rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vidprep.pipeline.cache import (
    CODECS,
    Cache,
    CacheHeader,
    DatasetSpec,
    ShardWriter,
    VideoEntry,
    build_index,
    shard_path,
    sidecar_path,
)

CHUNK_FRAMES = (1, 2, 4, 8, 16, 32)
CLIP_FRAMES = 16
HEIGHT, WIDTH = 128, 170
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=240, help="frames of each video to use at most")
    parser.add_argument("--clips", type=int, default=300, help="clips to read in a round")
    options = parser.parse_args()
    residuals = {path.name: residual_frames(path, options.frames) for path in options.videos}
    raw = sum(frames.nbytes for frames in residuals.values())
    print(f"{len(residuals)} videos, {raw / 1e6:.0f} MB of residual frames; clips of {CLIP_FRAMES} frames\n")
    print("| codec | frames per chunk | ratio | sidecar bytes per frame | ms per clip | writing, MB/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for codec in CODECS:
        for chunk_frames in CHUNK_FRAMES:
            with tempfile.TemporaryDirectory() as folder:
                print(measure(Path(folder), residuals, codec, chunk_frames, options.clips), flush=True)


def residual_frames(path: Path, limit: int) -> NDArray[np.uint8]:
    """``(T, 128, 170, 3)`` absolute differences of neighbouring frames."""
    frames: list[NDArray[np.uint8]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(width=WIDTH, height=HEIGHT, format="rgb24"))
            if len(frames) > limit:
                break
    video = np.stack(frames)
    return np.maximum(video[1:], video[:-1]) - np.minimum(video[1:], video[:-1])


def measure(folder: Path, videos: dict[str, NDArray[np.uint8]], codec: str, chunk_frames: int, clips: int) -> str:
    """One row of the table."""
    header = CacheHeader(
        config={"chunk_frames": chunk_frames}, tools={}, modalities=("residual",), classes=(), source=""
    )
    header.write(folder)
    shard = shard_path(folder, 0)
    started = time.perf_counter()
    with ShardWriter(
        shard, codec=codec, chunk_frames=chunk_frames, threads=0, config_hash=header.config_hash
    ) as writer:
        for name, frames in videos.items():
            with writer.video(name) as out:
                out.add_dataset(DatasetSpec(modality="residual", height=HEIGHT, width=WIDTH, channels=3, dtype="uint8"))
                out.write("residual", frames)
                out.describe(_entry(len(frames) + 1))
        writer.finish()
    writing = time.perf_counter() - started
    build_index(folder)
    cache = Cache(folder)
    milliseconds = min(read_clips(cache, videos, clips) for _ in range(ROUNDS)) / clips * 1e3
    raw = sum(frames.nbytes for frames in videos.values())
    sidecar = sidecar_path(folder, 0).stat().st_size / sum(len(frames) for frames in videos.values())
    ratio = raw / shard.stat().st_size
    return (
        f"| {codec} | {chunk_frames} | {ratio:.2f} | {sidecar:.1f} | {milliseconds:.2f} | {raw / 1e6 / writing:.0f} |"
    )


def read_clips(cache: Cache, videos: dict[str, Any], clips: int) -> float:
    """Seconds for ``clips`` clips at the same random places each time."""
    random = np.random.default_rng(0)
    names = [name for name, frames in videos.items() if len(frames) >= CLIP_FRAMES]
    places = []
    for _ in range(clips):
        name = names[random.integers(len(names))]
        places.append((name, int(random.integers(len(videos[name]) - CLIP_FRAMES + 1))))
    out = np.empty((CLIP_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    started = time.perf_counter()
    for name, start in places:
        cache.read(name, "residual", start, start + CLIP_FRAMES, out=out)
    return time.perf_counter() - started


def _entry(num_frames: int) -> VideoEntry:
    return VideoEntry(
        label=None,
        split=None,
        fps=0.0,
        num_frames=num_frames,
        codec="",
        pixel_format="",
        width=WIDTH,
        height=HEIGHT,
        rotation=0,
        decoder="pyav",
    )


if __name__ == "__main__":
    main()
