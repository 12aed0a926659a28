"""Damaged videos of many codecs and containers, and what an extraction must make of them."""

from __future__ import annotations

import csv
from pathlib import Path

import vidprep
from media import mutate, write_clip, write_packed_avi

KINDS = {
    "h264.mp4": {"b_frames": 2},
    "hevc.mp4": {"codec": "libx265", "b_frames": 2},
    "h264.mkv": {},
    "h264.ts": {"b_frames": 1},
    "h264-10.mov": {"pix_fmt": "yuv420p10le"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "packed.avi": {},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "ffv1.mkv": {"codec": "ffv1"},
    "flv1.flv": {"codec": "flv1"},
    "wmv2.wmv": {"codec": "wmv2"},
}


def write_mutants(folder: Path, count: int, *, seed: int = 0) -> list[str]:
    """Write ``count`` damaged videos below ``folder``, of every kind in turn; return their names."""
    originals = folder.with_name(f"{folder.name}-originals")
    originals.mkdir()
    folder.mkdir()
    for name, options in KINDS.items():
        write = write_packed_avi if name == "packed.avi" else write_clip
        write(originals / name, num_frames=16, size=(96, 128), **options)
    names = []
    for number in range(count):
        original = originals / list(KINDS)[number % len(KINDS)]
        names.append(f"{number:04}-{original.name}")
        (folder / names[-1]).write_bytes(mutate(original.read_bytes(), seed + number))
    return names


def extract_mutants(folder: Path, cache: Path, names: list[str], *, time_limit: float = 20) -> tuple[int, int]:
    """Extract damaged videos; return how many are cached and how many listed as failed.

    Raises
    ------
    AssertionError
        One is neither or both, or what is cached cannot be read.
    """
    report = vidprep.extract(folder, cache, size=(24, 32), workers=2, time_limit=time_limit)
    opened = vidprep.Cache(cache)
    with (cache / "failures.csv").open(newline="") as file:
        failures = {row["video"]: row for row in csv.DictReader(file)}
    assert sorted([*opened.videos, *failures]) == sorted(names)
    assert {failure.video for failure in report.failures} == set(failures)
    for row in failures.values():
        assert row["stage"] in ("open", "decode", "compute", "worker")
        assert row["reason"]
        assert "unexpected" not in row["reason"], row
    for video in opened.videos:
        assert len(opened.read(video, "residual")) > 0
    return len(opened), len(failures)
