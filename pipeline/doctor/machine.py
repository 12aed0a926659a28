"""The machine itself: Python, cores, memory, vector instructions."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from ... import __version__
from ..cache.atomic import readable_bytes
from .findings import Finding

_OLDEST_PYTHON = (3, 10)
_LITTLE_MEMORY = 2_000_000_000  # bytes; a worker takes up to 0.4 GB


def python() -> Finding:
    version = f"{platform.python_version()} ({platform.machine()}, {platform.system()})"
    if sys.version_info[:2] < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        return Finding(what="Python", value=version, status="broken", advice=f"use Python {oldest} or newer")
    return Finding(what="Python", value=version)


def vidprep() -> Finding:
    return Finding(what="vidprep", value=__version__)


def cores() -> Finding:
    present = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quota = _cpu_quota()
    value = f"{usable} of {present} usable"
    if quota is not None and quota < usable:
        return Finding(
            what="CPU cores", value=f"{value}, limited to the time of {quota:g}", status="warn",
            advice=f"use --workers {max(1, round(quota))}, or raise the container's limit",
        )  # fmt: skip
    return Finding(what="CPU cores", value=value)


def _cpu_quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    """Cores' worth of time that a container may use (control groups, version 2)."""
    try:
        quota, period = path.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def memory() -> Finding:
    pages = {name: os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")}
    total = pages["SC_PHYS_PAGES"] * pages["SC_PAGE_SIZE"]
    free = _available_memory() or pages["SC_AVPHYS_PAGES"] * pages["SC_PAGE_SIZE"]
    value = f"{readable_bytes(free)} of {readable_bytes(total)} available"
    if free < _LITTLE_MEMORY:
        return Finding(
            what="memory", value=value, status="warn", advice="use fewer --workers (each takes up to 0.4 GB)"
        )
    return Finding(what="memory", value=value)


def _available_memory() -> int | None:
    """What can be had without swapping, as Linux estimates it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def simd() -> Finding:
    """The vector instructions that Numba compiles for: those of this machine."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    cpu = binding.get_host_cpu_name()
    found = [
        name
        for name, needed in (
            ("AVX-512", ("avx512f", "avx512bw")),
            ("AVX2", ("avx2",)),
            ("SSE4.1", ("sse4.1",)),
            ("SVE", ("sve",)),
            ("NEON", ("neon",)),
        )
        if all(features.get(feature) for feature in needed)
    ]
    value = f"{', '.join(found) or 'none known'} ({cpu})"
    if not {"AVX-512", "AVX2", "SVE", "NEON"} & set(found):
        return Finding(what="SIMD", value=value, status="warn", advice="nothing: the CPU kernels are slower here")
    return Finding(what="SIMD", value=value)
