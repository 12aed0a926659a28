"""Extraction beside its peers: frames per second of two worker processes on two cores, all in one run.

H.264 clips of 340x256 and 480x360 to residual frames of 170x128. The contenders take turns (A B C ..., B C ... A,
...), so that what else the machine does falls on all alike, and ratios are taken within a round. A contender's time
runs from the moment at which both workers stand ready (imports done, one clip gone through) to the end of the
slower one; the start of vidprep's command counts only in the row that says so.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from clips import bit_rate, find_footage, h264_clips
from contenders import CONTENDERS, WITHOUT_FFMPEG, Contender, Work, decode
from report import option_parser, publish, spread, table

WORKERS = 2
SIZES = ((256, 340), (360, 480))
COMMAND = "vidprep extract, the whole command"
_GOALS = (0.80, 1.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender's turn: ``cpu_ms`` is processor time per frame, which other work on the machine hardly changes."""

    speed: float  # frames/s of all workers
    cpu_ms: float


Entry = tuple[str, Callable[[Sequence[Path], int, Path], Run]]  # name; from clips, how often each, and a folder


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the clips of")
    parser.add_argument("--rounds", type=int, help="rounds per size [5; quick: 2]")
    parser.add_argument("--seconds", type=float, help="seconds that pure decoding is to take [10; quick: 1]")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (1.0 if options.quick else 10.0)
    _keep_to_cores(WORKERS)
    footage = find_footage(options.videos)
    body = [
        f"{WORKERS} worker processes on {WORKERS} cores, one thread each; rounds: {rounds}; frames/s of both workers "
        "together, median (least to most). Ratios are to pure decoding in the same round. CPU time is of all threads, "
        "the system's part included.\n"
    ]
    for size in SIZES:
        clips = h264_clips(size, footage, options.scratch)
        runs = race(clips, rounds=rounds, seconds=seconds, scratch=options.scratch)
        body += [f"## {size[1]}x{size[0]} to 170x128\n", _table(runs), "", *_verdict(runs)]
        body += ["", f"Clips: {', '.join(f'{clip.name} ({bit_rate(clip):.0f} kbit/s)' for clip in clips)}.\n"]
    publish("extraction", "Extraction beside its peers", "\n".join(body), write=options.write)


def race(clips: Sequence[Path], *, rounds: int, seconds: float, scratch: Path) -> dict[str, list[Run]]:
    """Let all contenders run ``rounds`` times; return their runs by name, pure decoding first, vidprep second."""
    num_frames = {clip: decode([clip], Path()) for clip in clips}
    start = time.perf_counter()
    decode(clips, Path())
    times = max(1, math.ceil(seconds / (time.perf_counter() - start)))
    entries: list[Entry] = [(c.name, _steady(c, num_frames)) for c in _contenders()]
    entries.insert(2, (COMMAND, _whole_command))
    runs: dict[str, list[Run]] = {name: [] for name, _ in entries}
    scratch.mkdir(parents=True, exist_ok=True)
    for i in range(rounds):
        first = i % len(entries)
        for name, run in entries[first:] + entries[:first]:
            with tempfile.TemporaryDirectory(dir=scratch) as out:
                runs[name].append(run(clips, times, Path(out)))
            os.sync()  # what one contender has written is not to be on its way to the disk while the next runs
            print(f"round {i + 1} of {rounds}: {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs


def _contenders() -> list[Contender]:
    found = [contender for contender in CONTENDERS if contender.installed]
    if not any("imageio_ffmpeg" in contender.needs for contender in found):
        found.insert(2, WITHOUT_FFMPEG)
    return found


def _steady(contender: Contender, num_frames: dict[Path, int]) -> Callable[[Sequence[Path], int, Path], Run]:
    def run(clips: Sequence[Path], times: int, out: Path) -> Run:
        videos = list(clips) * max(1, round(contender.share * times))
        found, seconds, cpu_seconds = run_workers(contender.work, videos, out)
        expected = WORKERS * sum(num_frames[video] for video in videos)
        if found != expected:
            raise SystemExit(f"{contender.name} went through {found} frames instead of {expected}: no fair comparison")
        return Run(speed=found / seconds, cpu_ms=1e3 * cpu_seconds / found)

    return run


def run_workers(work: Work, videos: Sequence[Path], out: Path, count: int = WORKERS) -> tuple[int, float, float]:
    """Run ``work`` in several workers at once, each on all of ``videos``; return frames, wall and processor seconds."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for i in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(theirs, work, videos, out / f"worker-{i}"), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()  # ready; EOFError if the worker has died, after its own traceback
    start = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    results = [pipe.recv() for pipe in pipes]
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    return sum(frames for frames, _ in results), seconds, sum(cpu for _, cpu in results)


def _worker(pipe: Connection, work: Work, videos: Sequence[Path], out: Path) -> None:
    warm_up, measured = out / "warm-up", out / "measured"
    warm_up.mkdir(parents=True)
    measured.mkdir()
    work(videos[:1], warm_up)
    pipe.send("ready")
    pipe.recv()
    before = _cpu_seconds()
    num_frames = work(videos, measured)
    pipe.send((num_frames, _cpu_seconds() - before))


def _whole_command(clips: Sequence[Path], times: int, out: Path) -> Run:
    """Time ``vidprep extract`` from its start to its end, on the videos of both workers."""
    source = out / "videos"
    source.mkdir()
    for i, video in enumerate(list(clips) * times * WORKERS):
        (source / f"{i:05d}{video.suffix}").symlink_to(video.resolve())
    command = [sys.executable, "-m", "vidprep.cli.main", "extract", str(source), "--out", str(out / "cache")]
    command += ["--workers", str(WORKERS), "--device", "cpu", "--json"]
    start, before = time.perf_counter(), _cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, cpu_seconds = time.perf_counter() - start, _cpu_seconds() - before
    num_frames = int(json.loads(done.stdout)["frames"])
    return Run(speed=num_frames / seconds, cpu_ms=1e3 * cpu_seconds / num_frames)


def _cpu_seconds() -> float:
    """Processor time of this process and of the ended ones that it started."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _keep_to_cores(count: int) -> None:
    """Pin this process, and with it all it starts, to ``count`` cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _table(runs: dict[str, list[Run]]) -> str:
    floor = next(iter(runs.values()))
    rows = [
        (
            name,
            spread([run.speed for run in mine]),
            spread([run.speed / base.speed for run, base in zip(mine, floor, strict=True)], ".2f"),
            f"{statistics.median(run.cpu_ms for run in mine):.3f}",
        )
        for name, mine in runs.items()
    ]
    return table(("contender", "frames/s", "of pure decoding", "CPU ms/frame"), rows)


def _verdict(runs: dict[str, list[Run]]) -> list[str]:
    """Hold vidprep's steady state against the goals, by ratios within a round."""
    names = list(runs)
    ours = runs[names[1]]
    by_hand = [name for name in names if name.startswith("by hand")]
    peers = [name for name in names[3:] if name not in by_hand]

    def ratio(rivals: Sequence[str]) -> float:
        fastest = (max(runs[name][i].speed for name in rivals) for i in range(len(ours)))
        return statistics.median(mine.speed / other for mine, other in zip(ours, fastest, strict=True))

    groups = (("pure decoding", names[:1]), ("the fastest that writes nothing", peers), ("the faster by hand", by_hand))
    return [
        f"- vidprep, steady, to {what}: {ratio(rivals):.2f} (goal: at least {goal:.2f})"
        for (what, rivals), goal in zip(groups, _GOALS, strict=True)
        if rivals
    ]


if __name__ == "__main__":
    main()
