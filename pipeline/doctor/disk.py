"""Where a cache would be written: free space, and how fast it takes data."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from ..cache.atomic import readable_bytes
from .findings import Finding

_PROBE_BYTES = 64 << 20
_BLOCK_BYTES = 4 << 20
_LITTLE_SPACE = 5_000_000_000
_SLOW = 50_000_000  # bytes/s; two cores write about this much compressed residual


def space(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free
    value = f"{readable_bytes(free)} free in {_existing(folder)}"
    if free < _LITTLE_SPACE:
        return Finding(
            what="disk space",
            value=value,
            status="warn",
            advice="choose another --out: 100,000 short clips take 100s of GB",
        )
    return Finding(what="disk space", value=value)


def write_speed(folder: Path, num_bytes: int = _PROBE_BYTES) -> Finding:
    """Write incompressible bytes and wait until they are on the disk; the file is gone afterwards, whatever happens."""
    place = _existing(folder)
    block = os.urandom(min(_BLOCK_BYTES, num_bytes))
    try:
        with tempfile.TemporaryFile(dir=place, prefix=".vidprep-doctor-") as file:
            began = time.perf_counter()
            for _ in range(num_bytes // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - began
    except OSError as error:
        return Finding(
            what="write speed",
            value=f"{place} cannot be written: {(error.strerror or str(error)).lower()}",
            status="warn",
            advice="run the doctor where the cache will be, or name it: vidprep doctor --cache DIR",
        )
    rate = num_bytes / max(seconds, 1e-9)
    value = f"{readable_bytes(int(rate))}/s in {place} ({readable_bytes(num_bytes)}, synchronised)"
    if rate < _SLOW:
        return Finding(
            what="write speed", value=value, status="warn", advice="extract to a faster disk, then copy the cache"
        )
    return Finding(what="write speed", value=value)


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above that exists: a cache's folder is made by the extraction."""
    path = Path(os.path.abspath(folder))
    return next((candidate for candidate in (path, *path.parents) if candidate.is_dir()), path)
