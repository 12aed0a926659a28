"""Codecs on real frames: ratio, and speed of compression and decompression on one thread, chunk by chunk.

Through the same code that writes and reads a cache; LZ4's acceleration and Zstandard's level are set for the time of
the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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

Chunk = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A codec, with one of the module's numbers changed."""

    label: str
    codec: str
    number: str = ""
    value: int = 0


SETTINGS = (
    *(
        Setting(label=f"LZ4, acceleration {value}", codec="lz4", number="LZ4_ACCELERATION", value=value)
        for value in (1, 4, 8, 16, 32, 64)
    ),
    *(
        Setting(label=f"Zstandard, level {value}", codec="zstd", number="ZSTD_LEVEL", value=value)
        for value in (-5, 1, 3)
    ),
    Setting(label="bitshuffle and LZ4", codec="bitshuffle-lz4"),
    Setting(label="none", codec="none"),
)


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
        f"the ratio of all clips together, and least to most of a clip. Clips: {', '.join(c.name for c in clips)}.\n"
    ]
    for modality, arrays in (("residual", [residual(array) for array in frames]), ("rgb", frames)):
        chunks = [_chunks(array) for array in arrays]
        rows = [(setting.label, *_measure(setting, chunks, rounds)) for setting in SETTINGS]
        header = ("codec", "ratio", "of a clip", "compress, MB/s", "decompress, MB/s")
        body += [f"## {modality}\n", table(header, rows), ""]
    publish("compression", "Codecs on real frames", "\n".join(body), write=options.write)


def _chunks(frames: Chunk) -> list[Chunk]:
    whole = len(frames) // DEFAULT_CHUNK_FRAMES * DEFAULT_CHUNK_FRAMES
    return [frames[start : start + DEFAULT_CHUNK_FRAMES].reshape(-1) for start in range(0, whole, DEFAULT_CHUNK_FRAMES)]


def _measure(setting: Setting, clips: Sequence[Sequence[Chunk]], rounds: int) -> tuple[str, str, str, str]:
    codec = cache_codecs.make_codec(setting.codec, itemsize=1)
    chunks = [chunk for clip in clips for chunk in clip]
    targets = [np.empty(codec.bound(chunk.size), np.uint8) for chunk in chunks]
    restored = np.empty(max(chunk.size for chunk in chunks), np.uint8)
    packing, unpacking = [], []
    number = setting.number or "ZSTD_LEVEL"
    with patch.object(cache_codecs, number, setting.value if setting.number else getattr(cache_codecs, number)):
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
