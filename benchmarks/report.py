"""What all benchmarks share: their options, the machine they ran on, and tables in Markdown."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SCRATCH = ROOT / "build" / "benchmarks"
_PACKAGES = (
    "vidprep", "numpy", "numba", "av", "h5py", "hdf5plugin", "opencv-python-headless",
    "opencv-contrib-python-headless", "scikit-image", "torch", "cupy-cuda12x", "cupy-cuda13x", "cucim-cu13", "decord",
    "imageio-ffmpeg", "wids", "litdata",
)  # fmt: skip


def option_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has: ``--quick``, ``--write`` and ``--scratch``."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--quick", action="store_true", help="a short run, to see that it works: no numbers to quote")
    either.add_argument("--write", action="store_true", help="write the table to benchmarks/results")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="folder for clips and caches [%(default)s]")
    return parser


def publish(name: str, title: str, body: str, *, write: bool, part: str = "") -> None:
    """Print a report and, with ``write``, keep it as ``results/NAME.md``, or ``results/NAME_PART.md``.

    Parameters
    ----------
    name
        Of the benchmark's script, without suffix.
    title, body
        The heading, and the Markdown below the lines about machine and command.
    """
    command = shlex.join(["python", f"benchmarks/{name}.py", *(word for word in sys.argv[1:] if word != "--write")])
    head = f"# {title}\n\n{machine()}, {datetime.date.today().isoformat()}.\nMade by `{command}`.\n"
    text = f"{head}\n{body.rstrip()}\n"
    print(f"\n{text}", flush=True)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}{part and f'_{part}'}.md").write_text(text)


def machine() -> str:
    """Describe processor, cores, memory, system and the versions of what is compared, in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    return (
        f"{_processor()}, {cores()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}, {packages}"
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table: the first column to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    padded = (
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Write several measurements as ``median (least to most)``."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
