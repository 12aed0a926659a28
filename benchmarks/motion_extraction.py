"""Extraction of RGB, residual frames and flow beside the flow kernel's own time on the same frames, all in one run.

H.264 clips of 340x256 to 170x128, by one worker whose kernels use all cores, as for a single video, and by a worker a
core, as for a collection. Contenders take turns, and ratios are taken within a round.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from clips import find_footage, h264_clips
from contenders import Work, vidprep
from report import cores, option_parser, publish, spread, table

from extraction import Run, run_workers

SIZE = (256, 340)
ALONE = "tvl1_flow_of_clip alone, frames in memory"
ALL = ("rgb", "residual", "flow")
GOAL = 1.15


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the clips of")
    parser.add_argument("--rounds", type=int, help="rounds [5; quick: 1]")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    clips = h264_clips(SIZE, find_footage(options.videos), options.scratch, number=1 if options.quick else 4)
    body = [
        f"{len(clips)} clips of {SIZE[1]}x{SIZE[0]} to 170x128, preset `fast`, LZ4, written, read back and fsynced; "
        f"median (least to most) of {rounds} rounds. A worker's start is not counted. CPU time is of all threads, the "
        "system's part included.\n"
    ]
    for workers, threads in dict.fromkeys([(1, cores()), (cores(), 1)]):
        runs = race(clips, workers=workers, threads=threads, rounds=rounds, scratch=options.scratch)
        names = ["worker" if workers == 1 else "workers", "thread" if threads == 1 else "threads"]
        body += [f"## {workers} {names[0]}, {threads} kernel {names[1]} each\n", *_table(runs), ""]
    publish("motion_extraction", "Extraction of motion beside its kernel", "\n".join(body), write=options.write)


def race(clips: Sequence[Path], *, workers: int, threads: int, rounds: int, scratch: Path) -> dict[str, list[Run]]:
    """Let all contenders go through the clips ``rounds`` times; the flow kernel comes first."""
    scratch.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        frames = [_save_grey(clip, Path(folder) / f"{i}.npy") for i, clip in enumerate(clips)]
        num_frames = workers * sum(len(np.load(path, mmap_mode="r")) for path in frames)
        extract = partial(vidprep, workers=workers, threads=threads)
        entries: list[tuple[str, Work, Sequence[Path]]] = [
            (ALONE, partial(flow_alone, threads=threads), frames),
            *(
                (f"extract {', '.join(names)}", partial(extract, modalities=names), clips)
                for names in (ALL, ("rgb", "residual"))
            ),
        ]
        for i in range(rounds):
            for name, work, sources in entries[i % len(entries) :] + entries[: i % len(entries)]:
                with tempfile.TemporaryDirectory(dir=scratch) as out:
                    found, seconds, cpu_seconds = run_workers(work, sources, Path(out), workers)
                    if found != num_frames:
                        raise SystemExit(f"{name} went through {found} frames instead of {num_frames}")
                    run = Run(speed=found / seconds, cpu_ms=1e3 * cpu_seconds / found)
                runs.setdefault(name, []).append(run)
                os.sync()
                print(f"round {i + 1} of {rounds}: {name}: {run}", file=sys.stderr, flush=True)
    return {name: runs[name] for name, _, _ in entries}


def flow_alone(files: Sequence[Path], out: Path, *, threads: int) -> int:
    """The kernel on grey frames; they are in memory once this has been called for the first time."""
    from vidprep.kernels import tvl1_flow_of_clip
    from vidprep.kernels.cpu._threads import set_num_threads

    set_num_threads(threads)
    for path in files[0].parent.glob("*.npy"):
        _load(path)
    for path in files:
        tvl1_flow_of_clip(_load(path))
    return sum(len(_load(path)) for path in files)


def _save_grey(clip: Path, path: Path) -> Path:
    """Decode a clip as extraction does, and store its grey frames."""
    from vidprep.pipeline.config import DEFAULT_SIZE
    from vidprep.pipeline.decode.choose import open_frames
    from vidprep.pipeline.motion import MotionOptions
    from vidprep.pipeline.motion_frames import MotionFrames

    source, _ = open_frames(clip, size=DEFAULT_SIZE, fps=None, chunk_frames=64, device="cpu", decoder="pyav")
    with closing(source):
        chunks = [MotionFrames(chunk.frames, 1, MotionOptions()).grey() for chunk in source]
    np.save(path, np.concatenate(chunks))
    return path


@cache
def _load(path: Path) -> Any:
    return np.load(path)


def _table(runs: dict[str, list[Run]]) -> list[str]:
    base = runs[ALONE]

    rows = [
        (
            name,
            spread([1e3 / run.speed for run in mine], ".2f"),
            spread([alone.speed / run.speed for run, alone in zip(mine, base, strict=True)], ".2f"),
            f"{statistics.median(run.cpu_ms for run in mine):.2f}",
            f"{statistics.median(run.cpu_ms / alone.cpu_ms for run, alone in zip(mine, base, strict=True)):.2f}",
        )
        for name, mine in runs.items()
    ]
    header = ("contender", "ms/frame", "of the kernel alone", "CPU ms/frame", "of the kernel alone")
    return [table(header, rows), f"\nGoal: {', '.join(ALL)} within {GOAL} of the kernel's own time."]


if __name__ == "__main__":
    main()
