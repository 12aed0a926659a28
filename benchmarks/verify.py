"""Speed of ``vidprep verify`` on two threads, beside plain reading of the same files, and reading with XXH64.

Measured with the files in the page cache (warm), and after the kernel was asked to drop them (cold). How much then
came from the disk is counted by the kernel (``read_bytes`` of /proc/self/io); a virtual disk may have a cache of its
own behind it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import xxhash
from clips import find_footage, h264_clips, rgb_frames
from report import option_parser, publish, spread, table

from vidprep.kernels import residual
from vidprep.pipeline.cache import (
    CacheHeader,
    DatasetSpec,
    PlannedVideo,
    PlanTable,
    ShardWriter,
    VideoEntry,
    build_index,
    config_hash,
    shard_path,
    verify,
)

THREADS = 2
SHARDS = 16
SIZE = (128, 170)
_PIECE = 1 << 20
_GOAL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One pass over the cache, ``disk_share`` of whose bytes had to come from the disk."""

    gb_per_second: float
    disk_share: float


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the cache of")
    parser.add_argument("--gigabytes", type=float, help="size of the cache [4; quick: 0.2]")
    parser.add_argument("--rounds", type=int, help="rounds [5; quick: 2]")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    num_bytes = (options.gigabytes or (0.2 if options.quick else 4.0)) * 1e9
    clip, *_ = h264_clips((256, 340), find_footage(options.videos), options.scratch)
    passes: dict[str, Callable[[Path], None]] = {
        "vidprep verify": _verify,
        "read": lambda cache: _read_all(cache, hashed=False),
        "read and XXH64 (xxhash)": lambda cache: _read_all(cache, hashed=True),
    }
    timings: dict[tuple[str, str], list[Timing]] = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        cache = Path(folder)
        make_cache(cache, clip, num_bytes)
        files = sorted(path for path in cache.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        for _ in range(rounds):
            for state in ("warm", "cold"):
                for name, run in passes.items():
                    _read_all(cache, hashed=False) if state == "warm" else _drop(files)
                    timings.setdefault((name, state), []).append(_timed(run, cache, size))
    rows = [
        (
            name,
            state,
            spread([timing.gb_per_second for timing in found], ".2f"),
            f"{100 * statistics.median(timing.disk_share for timing in found):.0f} %",
        )
        for (name, state), found in timings.items()
    ]
    body = f"{size / 1e9:.1f} GB of LZ4 residual frames in {SHARDS} shards; {THREADS} threads; rounds: {rounds}.\n\n"
    body += table(("pass over all files", "page cache", "GB/s, median (least to most)", "from disk"), rows)
    body += f"\n\nGoal: `verify` at {_GOAL:g} GB/s or more on two cores."
    publish("verify", "Verification beside plain reading", body, write=options.write)


def make_cache(cache: Path, clip: Path, num_bytes: float) -> None:
    """Write a cache of about ``num_bytes``: the residual frames of one clip over and over, under many names."""
    frames = residual(rgb_frames(clip, SIZE, num_frames=256))
    config = {"benchmark": "verify"}
    CacheHeader(config=config, tools={}, modalities=("residual",), classes=(), source=str(clip)).write(cache)
    spec = DatasetSpec(modality="residual", height=SIZE[0], width=SIZE[1], channels=3, dtype="uint8")
    planned = []
    for shard in range(SHARDS):
        path = shard_path(cache, shard)
        with ShardWriter(path, codec="lz4", chunk_frames=8, threads=THREADS, config_hash=config_hash(config)) as out:
            written = 0
            while written < num_bytes / SHARDS:
                name = f"{len(planned):06d}.mp4"
                with out.video(name) as video:
                    video.add_dataset(spec)
                    video.write("residual", frames)
                    video.describe(_entry(len(frames) + 1))
                written += video.bytes_written
                planned.append(PlannedVideo(video=name, path=name, label=None, split=None, shard=shard, source_bytes=0))
            out.finish()
    PlanTable(config=config, modalities=("residual",), classes=(), source=str(clip), videos=tuple(planned)).write(cache)
    build_index(cache)


def _entry(num_frames: int) -> VideoEntry:
    return VideoEntry(
        label=None,
        split=None,
        fps=25.0,
        num_frames=num_frames,
        codec="h264",
        pixel_format="yuv420p",
        width=340,
        height=256,
        rotation=0,
        decoder="pyav",
    )


def _verify(cache: Path) -> None:
    damage = verify(cache, threads=THREADS).damage
    assert not damage, damage


def _read_all(cache: Path, *, hashed: bool) -> None:
    """Read every file of the cache in pieces of 1 MB, on as many threads as ``verify`` has."""
    with ThreadPoolExecutor(THREADS) as executor:
        files = sorted(path for path in cache.rglob("*") if path.is_file())
        list(executor.map(lambda path: _read(path, hashed=hashed), files))


def _read(path: Path, *, hashed: bool) -> int:
    piece, digest = bytearray(_PIECE), xxhash.xxh64()
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(piece):
            if hashed:
                digest.update(memoryview(piece)[:count])
    return digest.intdigest()


def _drop(files: list[Path]) -> None:
    """Ask the kernel to forget the files' pages."""
    for path in files:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def _timed(run: Callable[[Path], None], cache: Path, size: int) -> Timing:
    before, start = _bytes_from_disk(), time.perf_counter()
    run(cache)
    seconds = time.perf_counter() - start
    return Timing(gb_per_second=size / seconds / 1e9, disk_share=(_bytes_from_disk() - before) / size)


def _bytes_from_disk() -> int:
    (line,) = (line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("read_bytes:"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
