"""Kill extractions with ``kill -9`` at random moments, resume them, and compare every byte with an undisturbed run's.

python benchmarks/kill_test.py --kills 50
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from interruption import kill_and_resume
from media import write_clip

OPTIONS = ["--modality", "rgb", "--modality", "residual", "--size", "320x240", "--codec", "zstd", "--shard-videos", "1"]


def main() -> None:
    """Print one line; a difference is an ``AssertionError``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "videos")
        source.mkdir()
        for number in range(arguments.videos):
            write_clip(source / f"{number:03}.avi", codec="mpeg4", num_frames=40, seed=number)
        began = time.monotonic()
        options = [*OPTIONS, "--workers", str(arguments.workers)]
        result = kill_and_resume(source, Path(temporary), options, kills=arguments.kills, seed=arguments.seed)
    print(
        f"{result.kills} kills, {result.resumed} of them with finished shards to resume from, {result.caches} caches "
        f"completed: all bytes equal ({time.monotonic() - began:.0f} s)"
    )


if __name__ == "__main__":
    main()
