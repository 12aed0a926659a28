"""The folder that a cache is to have: what may lie there, and what of it is ours to remove."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from .cache.atomic import final_name, output_error
from .cache.format import (
    HEADER_NAME,
    INDEX_NAME,
    LOCK_NAME,
    PLAN_NAME,
    SHARDS_NAME,
    TOP_NAMES,
    is_shard_name,
    shard_files,
    unfinished_files,
)
from .cache.sealed import looks_sealed
from .errors import UsageError
from .option_names import option
from .videos import Video

_NAMED = 40


def cache_folder(out: str | os.PathLike[str]) -> Path:
    """Return the absolute path of the cache's folder; a UsageError says that ``out`` is no path."""
    name = os.fspath(out)
    if not name or "\0" in name:
        raise UsageError(f"{option('out', 'the cache')} {name!r} is no path; name a folder for it")
    return Path(os.path.abspath(name))


def check_place(cache: Path, source: Path, videos: Iterable[Video], *, overwrite: bool) -> None:
    """Refuse a place where a run would harm its own source, the next run, or somebody else's files.

    Parameters
    ----------
    cache, source
        Absolute.
    videos
        Those that are to be extracted.
    overwrite
        Whether what is there will be removed: then nothing but a cache may be there.

    Raises
    ------
    UsageError
        The cache would lie inside its source, or the source inside the cache; or the place is a file, or a folder that
        holds something else than a cache.
    OutputError
        The place cannot be looked at.
    """
    _check_source(cache, source, videos)
    try:
        if not stat.S_ISDIR(os.stat(cache).st_mode):
            raise UsageError(f"the cache {cache} is a file: choose another name")
        strangers = sorted(_strangers(cache))
        ours = _is_ours(cache)
        if not ours:
            strangers = sorted([*strangers, *_nameless(cache)])
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = max(cache.parts, key=len)
            short = name if len(name) <= _NAMED else f"{name[:_NAMED]}..."
            raise UsageError(f"the cache's path is too long for this disk ({short}): choose a shorter one") from None
        raise output_error(error, cache) from None
    if strangers and not ours:
        raise UsageError(f"{cache} holds other files ({strangers[0]}): choose an empty or a new folder for the cache")
    if strangers and overwrite:
        raise UsageError(
            f"{cache} holds files that are no part of a cache ({strangers[0]}): move them away before --overwrite, or "
            "choose another folder"
        )


def remove_cache(cache: Path) -> None:
    """Remove a cache, by the names of its files and nothing else.

    The header goes last: what a killed removal leaves is still known for the cache that it was.

    Raises
    ------
    OutputError
        Something cannot be removed.
    """
    shards = cache / SHARDS_NAME
    try:
        for suffix in (".parquet", ".h5"):  # without its sidecar a shard does not count
            for path in shard_files(cache, suffix).values():
                path.unlink(missing_ok=True)
        for path in unfinished_files(cache):
            path.unlink(missing_ok=True)
        if shards.is_dir() and not shards.is_symlink():
            shards.rmdir()
        for name in reversed(TOP_NAMES):
            (cache / name).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(error, cache) from error


def _check_source(cache: Path, source: Path, videos: Iterable[Video]) -> None:
    root, real = os.path.realpath(source), os.path.realpath(cache)
    if os.path.isdir(root) and _is_within(real, root):
        raise UsageError(f"the cache {cache} would lie inside the source {source}: choose a folder outside it")
    if _is_within(root, real):
        raise UsageError(f"the source {source} lies inside the cache {cache}: choose another folder for the cache")
    # Most videos share few folders, and to resolve a path takes a system call for each of its parts.
    checked: set[Path] = set()
    for video in videos:
        if video.path.parent not in checked:
            checked.add(video.path.parent)
            if _is_within(os.path.realpath(video.path.parent), real):
                raise UsageError(
                    f"the video {video.path} lies inside the cache {cache}: choose another folder for the cache"
                )


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _strangers(cache: Path) -> Iterator[str]:
    """Names, below the cache's folder, that no cache has."""
    for name in os.listdir(cache):
        final = final_name(name)
        if name == SHARDS_NAME and (cache / name).is_dir():
            for inner in os.listdir(cache / name):
                if not is_shard_name(final_name(inner) or inner):
                    yield f"{name}/{inner}"
        elif not (name in TOP_NAMES or final in TOP_NAMES or name == LOCK_NAME or name.startswith(f"{LOCK_NAME}-")):
            yield name


def _nameless(cache: Path) -> Iterator[str]:
    """Files that have a name of ours, in a folder that is no cache."""
    yield from (name for name in TOP_NAMES if (cache / name).exists())
    for suffix in (".h5", ".parquet"):
        yield from (f"{SHARDS_NAME}/{path.name}" for path in shard_files(cache, suffix).values())


def _is_ours(cache: Path) -> bool:
    """Whether a folder is a cache, be it damaged: its names alone, others use them too."""
    try:
        header = json.loads((cache / HEADER_NAME).read_bytes())
    except (OSError, ValueError):  # lost, or damaged: the tables beside it tell
        header = None
    if isinstance(header, dict) and "format_version" in header:
        return True
    tables = [cache / PLAN_NAME, cache / INDEX_NAME, *shard_files(cache, ".parquet").values()]
    return any(looks_sealed(path) for path in tables)
