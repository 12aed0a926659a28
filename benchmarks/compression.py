"""Codecs on real frames: ratio, and speed of compression and decompression on one thread, chunk by chunk.

Ours through the code that writes and reads a cache; beside them what else HDF5's filters could make of the same frames.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from clips import find_footage, h264_clips, rgb_frames
from numpy.typing import NDArray
from report import option_parser, publish, table

from vidprep.kernels import residual
from vidprep.pipeline.cache import DEFAULT_CHUNK_FRAMES
from vidprep.pipeline.cache import codecs as cache_codecs
from vidprep.pipeline.cache.codecs import Codec
from vidprep.pipeline.cache.native import function
from vidprep.pipeline.cache.plane_chunks import join_blocks, split_blocks

Bytes = NDArray[np.uint8]

FRAME_ITEMS = 128 * 170 * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lz4Search:
    """The LZ4 library's own search for matches, a block a frame, on the bytes or on their bit planes."""

    acceleration: int
    planes: bool

    def bound(self, num_bytes: int) -> int:
        return 2 * num_bytes + 1000

    def encode(self, src: Bytes, dst: Bytes) -> int:
        compress = function("h5lz4", "LZ4_compress_fast", _INT, _POINTER, _POINTER, _INT, _INT, _INT)
        source = src
        if self.planes:
            source = np.empty_like(src)
            split_blocks(src, 1, FRAME_ITEMS, source)
        end = 0
        for start in range(0, src.size, FRAME_ITEMS):
            used = compress(
                source.ctypes.data + start, dst.ctypes.data + end + 4, FRAME_ITEMS, dst.size - end, self.acceleration
            )
            dst[end : end + 4] = np.array([used], np.uint32).view(np.uint8)
            end += 4 + used
        return end

    def decode(self, src: Bytes, dst: Bytes) -> None:
        decompress = function("h5lz4", "LZ4_decompress_safe", _INT, _POINTER, _POINTER, _INT, _INT)
        target = np.empty_like(dst) if self.planes else dst
        end = 0
        for start in range(0, dst.size, FRAME_ITEMS):
            used = int(src[end : end + 4].view(np.uint32)[0])
            assert decompress(src.ctypes.data + end + 4, target.ctypes.data + start, used, FRAME_ITEMS) == FRAME_ITEMS
            end += 4 + used
        if self.planes:
            join_blocks(target, 1, FRAME_ITEMS, dst)


class Bitshuffle:
    """The bitshuffle filter's own pair of bit planes and LZ4, in blocks of 8 kB."""

    def bound(self, num_bytes: int) -> int:
        return 2 * num_bytes + 1000

    def encode(self, src: Bytes, dst: Bytes) -> int:
        compress = function("h5bshuf", "bshuf_compress_lz4", ctypes.c_int64, _POINTER, _POINTER, _SIZE, _SIZE, _SIZE)
        return int(compress(src.ctypes.data, dst.ctypes.data, src.size, 1, 0))

    def decode(self, src: Bytes, dst: Bytes) -> None:
        decompress = function(
            "h5bshuf", "bshuf_decompress_lz4", ctypes.c_int64, _POINTER, _POINTER, _SIZE, _SIZE, _SIZE
        )
        assert decompress(src.ctypes.data, dst.ctypes.data, dst.size, 1, 0) == src.size


_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    label: str
    codec: Codec | Lz4Search | Bitshuffle
    zstd_level: int = cache_codecs.ZSTD_LEVEL

    @contextmanager
    def at_its_level(self) -> Iterator[None]:
        with patch.object(cache_codecs, "ZSTD_LEVEL", self.zstd_level):
            yield


def contenders() -> list[Contender]:
    ours = {name: cache_codecs.make_codec(name, 1, FRAME_ITEMS) for name in cache_codecs.CODECS}
    return [
        Contender(label="`lz4`: bit planes, runs alone", codec=ours["lz4"]),
        *(
            Contender(
                label=f"bit planes, LZ4's search, acceleration {value}",
                codec=Lz4Search(acceleration=value, planes=True),
            )
            for value in (1, 8, 32)
        ),
        *(
            Contender(label=f"LZ4's search, acceleration {value}", codec=Lz4Search(acceleration=value, planes=False))
            for value in (1, 8, 32)
        ),
        Contender(label="the bitshuffle filter with LZ4", codec=Bitshuffle()),
        *(
            Contender(label=f"`zstd`: bit planes, level {level}", codec=ours["zstd"], zstd_level=level)
            for level in (1, -3, 3)
        ),
        Contender(label="`none`", codec=ours["none"]),
    ]


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the clips of")
    parser.add_argument("--rounds", type=int, help="rounds, of which the fastest counts [7; quick: 2]")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 7)
    footage = find_footage(options.videos)
    clips = h264_clips((256, 340), footage, options.scratch, number=1 if options.quick else 4)
    frames = [rgb_frames(clip, num_frames=64 if options.quick else 256) for clip in clips]
    body = [
        f"Chunks of {DEFAULT_CHUNK_FRAMES} frames of 170x128; MB/s of uncompressed bytes, fastest of {rounds} rounds; "
        "the ratio of all clips together, and least to most of a clip. Zstandard's level in a cache is "
        f"{cache_codecs.ZSTD_LEVEL}. Clips: {', '.join(c.name for c in clips)}.\n"
    ]
    for modality, arrays in (("residual", [residual(array) for array in frames]), ("rgb", frames)):
        chunks = [_chunks(array) for array in arrays]
        rows = [(contender.label, *_measure(contender, chunks, rounds)) for contender in contenders()]
        header = ("codec", "ratio", "of a clip", "compress, MB/s", "decompress, MB/s")
        body += [f"## {modality}\n", table(header, rows), ""]
    publish("compression", "Codecs on real frames", "\n".join(body), write=options.write)


def _chunks(frames: Bytes) -> list[Bytes]:
    assert frames[0].size == FRAME_ITEMS
    whole = len(frames) // DEFAULT_CHUNK_FRAMES * DEFAULT_CHUNK_FRAMES
    return [frames[start : start + DEFAULT_CHUNK_FRAMES].reshape(-1) for start in range(0, whole, DEFAULT_CHUNK_FRAMES)]


def _measure(contender: Contender, clips: Sequence[Sequence[Bytes]], rounds: int) -> tuple[str, str, str, str]:
    codec = contender.codec
    chunks = [chunk for clip in clips for chunk in clip]
    targets = [np.empty(codec.bound(chunk.size), np.uint8) for chunk in chunks]
    restored = np.empty(max(chunk.size for chunk in chunks), np.uint8)
    packing, unpacking = [], []
    with contender.at_its_level():
        for _ in range(rounds + 1):  # the first warms up
            start = time.perf_counter()
            sizes = [codec.encode(chunk, target) for chunk, target in zip(chunks, targets, strict=True)]
            packing.append(time.perf_counter() - start)
            start = time.perf_counter()
            for chunk, target, size in zip(chunks, targets, sizes, strict=True):
                codec.decode(target[:size], restored[: chunk.size])
            unpacking.append(time.perf_counter() - start)
    assert np.array_equal(restored[: chunks[-1].size], chunks[-1])
    raw = sum(chunk.size for chunk in chunks)
    ratios, done = [], 0
    for clip in clips:
        ratios.append(sum(chunk.size for chunk in clip) / sum(sizes[done : done + len(clip)]))
        done += len(clip)
    return (
        f"{raw / sum(sizes):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{raw / min(packing[1:]) / 1e6:,.0f}",
        f"{raw / min(unpacking[1:]) / 1e6:,.0f}",
    )


if __name__ == "__main__":
    main()
