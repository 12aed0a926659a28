"""The stores that the contenders read: made anew for each run, all from one cache.

cache/           of vidprep, default codec and chunks; the same footage again and again, under many names
clips.npy        the clips in the order of their videos and frames: what every contender must deliver
gzip.h5          the cache's datasets in one file, with gzip chunks
webdataset/  litdata/  litdata-zstd/  litdata-videos/
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np
from clips import Footage

import vidprep

from . import litdata, webdataset
from .case import CROP, FRAME, LENGTH, Clip, Task

_GZIP_LEVEL = 4


def make_stores(
    root: Path, footage: Sequence[Footage], wanted: Collection[str], *, num_clips: int, num_bytes: float
) -> Task:
    """Extract footage until its frames take ``num_bytes`` uncompressed, draw clips, and make the stores ``wanted``."""
    sources = _gather(root / "videos", footage, num_bytes)
    _extract(root, "cache", "lz4")
    clips = _draw(vidprep.Cache(root / "cache"), num_clips)
    order = sorted(range(num_clips), key=lambda i: (clips[i].video, clips[i].start))
    places = np.empty(num_clips, int)
    places[order] = range(num_clips)
    _save_clips(root, [clips[i] for i in order])
    makers: dict[str, Callable[[Path], None]] = {
        "cache-none": lambda folder: _extract(root, folder.name, "none"),
        "gzip.h5": lambda file: _save_gzip(root, file, sources),
        "webdataset": lambda folder: webdataset.make(np.load(root / "clips.npy", mmap_mode="r"), folder),
        "litdata": lambda folder: litdata.make_clips(root / "clips.npy", folder, None),
        "litdata-zstd": lambda folder: litdata.make_clips(root / "clips.npy", folder, "zstd"),
        "litdata-videos": lambda folder: litdata.make_videos(_datasets(root), folder),
    }
    for name, make in makers.items():
        if name in wanted:
            print(f"making {name}", file=sys.stderr, flush=True)
            make(root / name)
    os.sync()
    return Task(root=root, clips=tuple(clips), places=tuple(places.tolist()), sources=sources)


def _gather(folder: Path, footage: Sequence[Footage], num_bytes: float) -> dict[str, Path]:
    """Link footage, under new names again and again; return the file behind each name."""
    once = sum(item.num_frames for item in footage) * math.prod(FRAME)
    sources = {}
    folder.mkdir()
    for copy in range(math.ceil(num_bytes / once)):
        for item in footage:
            name = f"{copy:03d}-{item.path.name}"
            (folder / name).symlink_to(item.path.resolve())
            sources[name] = item.path.resolve()
    return sources


def _extract(root: Path, name: str, codec: str) -> None:
    vidprep.extract(root / "videos", root / name, size=FRAME[:2], codec=codec)


def _draw(cache: vidprep.Cache, number: int) -> list[Clip]:
    """Any video, any start, any place of the crop, all as likely."""
    random = np.random.default_rng(0)
    lengths = {name: info.modalities["residual"].num_frames for name, info in cache.videos.items()}
    names = sorted(name for name, length in lengths.items() if length >= LENGTH)
    clips = []
    for _ in range(number):
        video = names[random.integers(len(names))]
        start = int(random.integers(lengths[video] - LENGTH + 1))
        y, x = (int(random.integers(FRAME[axis] - CROP[axis] + 1)) for axis in (0, 1))
        clips.append(Clip(video=video, start=start, y=y, x=x))
    return clips


def _save_clips(root: Path, clips: Sequence[Clip]) -> None:
    cache = vidprep.Cache(root / "cache")
    shape = (len(clips), LENGTH, *CROP, FRAME[2])
    out = np.lib.format.open_memmap(root / "clips.npy", "w+", np.uint8, shape)
    for i, clip in enumerate(clips):
        frames = cache.read(clip.video, "residual", clip.start, clip.start + LENGTH)
        out[i] = frames[:, clip.y : clip.y + CROP[0], clip.x : clip.x + CROP[1]]
    out.flush()


def _save_gzip(root: Path, file: Path, sources: dict[str, Path]) -> None:
    """Copies of one file are compressed once."""
    compressed: dict[Path, str] = {}
    with h5py.File(file, "w") as target:
        for path, video in _datasets(root):
            with h5py.File(path, "r") as shard:
                dataset = shard[video]["residual"]
                again = compressed.setdefault(sources[video], video)
                copy = target.create_dataset(
                    f"{video}/residual",
                    dataset.shape,
                    dataset.dtype,
                    data=dataset[:] if again == video else None,
                    chunks=dataset.chunks,
                    compression="gzip",
                    compression_opts=_GZIP_LEVEL,
                )
                if again != video:
                    for start in range(0, len(dataset), dataset.chunks[0]):
                        place = (start, 0, 0, 0)
                        mask, chunk = target[again]["residual"].id.read_direct_chunk(place)
                        copy.id.write_direct_chunk(place, chunk, mask)


def _datasets(root: Path) -> list[tuple[Path, str]]:
    """All videos by name, each with its shard."""
    found = []
    for path in (root / "cache" / "shards").glob("*.h5"):
        with h5py.File(path, "r") as file:
            found += [(path, video) for video in file]
    return sorted(found, key=lambda place: place[1])
