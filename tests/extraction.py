"""Making and comparing small caches, without worker processes where a test is not about them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidprep import Cache
from vidprep.pipeline.cache import CacheHeader, build_index
from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.events import Event
from vidprep.pipeline.plan import ShardPlan
from vidprep.pipeline.shard import ShardTask, build_shard
from vidprep.pipeline.videos import Video

SMALL = FrameSize(height=24, width=32)


def small_config(**changes: object) -> ExtractConfig:
    """A config for frames of 32x24, with ``changes``."""
    return ExtractConfig(**{"size": SMALL, **changes})


def videos_of(paths: Iterable[Path]) -> tuple[Video, ...]:
    """Videos whose ids are their files' names."""
    return tuple(Video(id=path.name, path=path) for path in paths)


def make_task(paths: Iterable[Path], cache: Path, **options: object) -> ShardTask:
    """One shard of these videos; ``config`` is among the ``options`` of ``ShardTask``."""
    plan = ShardPlan(number=0, videos=videos_of(paths))
    return ShardTask(**{"plan": plan, "config": small_config(), "cache": cache, **options})


def build_cache(
    paths: Iterable[Path], folder: Path, *, config: ExtractConfig, events: list[Event] | None = None
) -> Cache:
    """Extract videos into a cache of one shard, in this process."""
    CacheHeader(config=config.to_json(), tools={}, modalities=config.modalities, classes=(), source="/").write(folder)
    build_shard(make_task(paths, folder, config=config), "cpu", (events if events is not None else []).append)
    build_index(folder)
    return Cache(folder)


def cache_bytes(folder: Path) -> dict[str, bytes]:
    """Name below ``folder`` -> bytes of every file of a cache, but for the lock, which names a process."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def command_line(*arguments: str | os.PathLike[str]) -> list[str]:
    """How to run ``vidprep`` in a process of its own, with the Python of the tests."""
    return [sys.executable, "-m", "vidprep.cli.main", *map(os.fspath, arguments)]


def run_vidprep(
    *arguments: str | os.PathLike[str], shell_prefix: Sequence[str] = (), timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``vidprep`` to its end in a process of its own."""
    return subprocess.run(
        [*shell_prefix, *command_line(*arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )
