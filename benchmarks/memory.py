"""Peak memory of one worker: a 10-second clip beside one of 30 minutes, both 1080p, to residual frames.

A worker process of the local engine gets one shard with one video; its peak is VmHWM, the kernel's own record of the
largest resident set. The long clip is the short one's packets again and again with later timestamps, so both decode
alike and only the length differs.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import av
from clips import Footage, find_footage, read_pictures, write_clip
from report import option_parser, publish, table

SIZE = (1080, 1920)
FPS = 30
SECONDS = 10
_GOAL_MB = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What a worker needed for one video; ``peak_mb`` in units of 10**6 bytes."""

    num_frames: int
    peak_mb: float
    seconds: float


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the clips of")
    parser.add_argument("--minutes", type=float, help="length of the long clip [30; quick: 0.5]")
    options = parser.parse_args()
    minutes = options.minutes or (0.5 if options.quick else 30.0)
    short = _short_clip(find_footage(options.videos), options.scratch)
    rows = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        long = Path(folder, "long.mp4")
        repeat_packets(short, long, times=max(2, round(60 * minutes / SECONDS)))
        measure(short, Path(folder, "warm-up"))  # so that Numba's cache is full
        for i, (what, clip, numba_cache) in enumerate(
            (
                ("10 seconds, kernels compiled on the way", short, Path(folder, "numba")),
                ("10 seconds", short, None),
                (f"{minutes:g} minutes", long, None),
            )
        ):
            peak = measure(clip, Path(folder, f"cache-{i}"), numba_cache)
            speed = f"{peak.num_frames / peak.seconds:,.0f}"
            rows.append((what, f"{peak.num_frames:,}", f"{peak.peak_mb:,.0f}", speed))
    body = table(("clip, 1920x1080 H.264", "frames", "peak RSS, MB", "frames/s"), rows)
    body += f"\n\nGoal: flat, and under {_GOAL_MB} MB."
    publish("memory", "Peak memory of one worker", body, write=options.write)


def measure(clip: Path, cache: Path, numba_cache: Path | None = None) -> Peak:
    """Have one worker process extract one clip; return its peak of memory.

    Parameters
    ----------
    numba_cache
        Where the worker finds compiled kernels; an empty folder has it compile them. None for the usual place.
    """
    from vidprep.pipeline.config import ExtractConfig
    from vidprep.pipeline.engines.worker import run_worker
    from vidprep.pipeline.events import Advanced, ShardFinished, VideoFinished
    from vidprep.pipeline.plan import plan_shards
    from vidprep.pipeline.shard import ShardTask, build_shard
    from vidprep.pipeline.videos import Video

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_worker, args=(theirs, "cpu", build_shard), daemon=True)
    if numba_cache is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(numba_cache)
    process.start()
    os.environ.pop("NUMBA_CACHE_DIR", None)
    theirs.close()
    (plan,) = plan_shards((Video(id=clip.name, path=clip),))
    start, num_frames = time.perf_counter(), 0
    ours.send(ShardTask(plan=plan, config=ExtractConfig(), cache=cache, decoder="pyav"))
    while not isinstance(message := ours.recv(), ShardFinished):
        if isinstance(message, Advanced):
            num_frames += message.frames
        elif isinstance(message, Exception) or (isinstance(message, VideoFinished) and message.stage):
            raise SystemExit(f"the extraction failed: {message}")
    seconds = time.perf_counter() - start
    peak_mb = _peak_mb(process.pid)
    ours.close()
    process.join()
    return Peak(num_frames=num_frames, peak_mb=peak_mb, seconds=seconds)


def repeat_packets(clip: Path, out: Path, times: int) -> None:
    """Write the packets of ``clip``, a closed group of pictures, ``times`` times one after another; no re-encoding."""
    with av.open(str(clip)) as source, av.open(str(out), "w", format="mp4") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        frame = int(1 / (stream.average_rate * stream.time_base))
        length = stream.frames * frame
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is None:
                    continue
                packet.pts += turn * length
                packet.dts += turn * length
                packet.stream = copy
                target.mux(packet)


def _short_clip(footage: tuple[Footage, ...], scratch: Path) -> Path:
    """Encode ten seconds of the largest footage, run over and over, at 1080p."""
    largest = max(footage, key=lambda item: item.size[0] * item.size[1])
    clip = scratch / "clips" / f"{largest.path.stem}-{SIZE[1]}x{SIZE[0]}-{SECONDS}s.mp4"
    if not clip.exists():
        pictures = chain.from_iterable(read_pictures(largest.path, SIZE) for _ in repeat(None))
        write_clip(clip, islice(pictures, FPS * SECONDS), preset="medium", fps=FPS)
    return clip


def _peak_mb(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
