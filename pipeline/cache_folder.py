"""The folder of a cache before and after a run: its place, header and plan, what is done, what is left over."""

from __future__ import annotations

import logging
import os
import platform
import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .cache import CacheHeader, PlannedVideo, PlanTable, config_hash, shard_path
from .cache.atomic import leftovers, output_error
from .cache.format import (
    FAILURES_NAME,
    HEADER_NAME,
    INDEX_NAME,
    LOCK_NAME,
    PLAN_NAME,
    SHARDS_NAME,
    CacheVersionError,
    shard_files,
)
from .cache.sidecar import read_sidecar
from .config import ExtractConfig
from .errors import CacheError, UsageError
from .plan import ShardPlan
from .videos import Video, VideoSet

logger = logging.getLogger(__name__)

_TOOLS = ("numpy", "av", "numba", "h5py", "hdf5plugin", "pyarrow", "nvidia-dali-cuda130", "cupy-cuda13x")
_CACHE_NAMES = frozenset({HEADER_NAME, SHARDS_NAME, INDEX_NAME, PLAN_NAME, FAILURES_NAME, LOCK_NAME})


def check_place(cache: Path, source: Path) -> None:
    """Refuse a cache inside its source, where the next run would search it, and a folder that is something else."""
    root, real = os.path.realpath(source), os.path.realpath(cache)
    if os.path.isdir(root) and (real == root or real.startswith(root.rstrip("/") + "/")):
        raise UsageError(f"the cache {cache} would lie inside the source {source}: choose a folder outside it")
    if cache.exists() and not cache.is_dir():
        raise UsageError(f"the cache {cache} is a file: choose another name")
    try:
        strangers = sorted(set(os.listdir(cache)) - _CACHE_NAMES) if cache.exists() else []
    except OSError as error:
        raise output_error(error, cache) from None
    strangers = [name for name in strangers if not name.endswith(".tmp") and not name.startswith(LOCK_NAME)]
    if strangers and not (cache / HEADER_NAME).exists():
        raise UsageError(f"{cache} holds other files ({strangers[0]}): choose an empty or a new folder for the cache")


def remove_cache(cache: Path) -> None:
    try:
        (cache / HEADER_NAME).unlink(missing_ok=True)  # first: what is left of a killed removal is no cache
        for name in (PLAN_NAME, INDEX_NAME, FAILURES_NAME):
            (cache / name).unlink(missing_ok=True)
        shutil.rmtree(cache / SHARDS_NAME, ignore_errors=False) if (cache / SHARDS_NAME).exists() else None
    except OSError as error:
        raise output_error(error, cache) from error


def open_cache(cache: Path, config: ExtractConfig, found: VideoSet, shards: tuple[ShardPlan, ...]) -> None:
    """Write header and plan of a new cache; check that those of an old one are the same."""
    plan = PlanTable(source=str(found.root), classes=found.classes, videos=tuple(_planned(found.root, shards)))
    if (cache / HEADER_NAME).exists():
        header = CacheHeader.read(cache)
        differences = config.differences(ExtractConfig.from_json(dict(header.config)))
        if differences:
            raise UsageError(
                f"{cache} was begun with another configuration ({'; '.join(differences)}): choose another folder, the "
                "same options, or --overwrite to start anew"
            )
        before = _read_plan(cache)
        changes = "" if before is None else _plan_changes(before, plan)
        if changes:
            raise UsageError(
                f"the videos are not those that {cache} was begun with ({changes}): choose another folder, or "
                "--overwrite to start anew"
            )
        remove_leftovers(cache)
        if before is None:
            plan.write(cache)
        return
    (cache / SHARDS_NAME).mkdir(exist_ok=True)
    plan.write(cache)
    CacheHeader(
        config=config.to_json(),
        tools=_tool_versions(),
        modalities=config.modalities,
        classes=found.classes,
        source=str(found.root),
    ).write(cache)


def finished_shards(cache: Path, config: ExtractConfig, shards: Iterable[ShardPlan]) -> set[int]:
    """Return the numbers of planned shards that are there: sidecar of this config and plan, file of the right size.

    Others are removed: all that a killed ``--overwrite`` left, and what would never be used.
    """
    planned = {shard.number: tuple(video.id for video in shard.videos) for shard in shards}
    expected_hash = config_hash(config.to_json())
    done = set()
    for number, path in shard_files(cache, ".parquet").items():
        try:
            _, _, info = read_sidecar(path)
            if (info.config_hash, info.shard, info.videos) == (
                expected_hash,
                number,
                planned.get(number),
            ) and shard_path(cache, number).stat().st_size == info.file_size:
                done.add(number)
                continue
        except (CacheError, OSError) as error:
            logger.warning("shard %d is built again: %s", number, error)
        path.unlink(missing_ok=True)
    for number, path in shard_files(cache, ".h5").items():
        if number not in planned:
            path.unlink(missing_ok=True)
    return done


def remove_leftovers(cache: Path) -> None:
    """Remove what killed workers and runs left half written. Needs the cache's lock."""
    for path in (*leftovers(cache), *leftovers(cache / SHARDS_NAME)):
        path.unlink(missing_ok=True)


def planned_shards(cache: Path, plan: PlanTable, source: Path | None = None) -> dict[int, ShardPlan]:
    """Return the shards of a cache's plan by number, with the paths of their videos.

    Parameters
    ----------
    source
        Where the source lies now, if it was moved.
    """
    root = source or Path(plan.source)
    shards: dict[int, list[Video]] = {}
    for video in plan.videos:
        shards.setdefault(video.shard, []).append(
            Video(id=video.video, path=root / video.path, label=video.label or "", split=video.split or "")
        )
    return {number: ShardPlan(number=number, videos=tuple(videos)) for number, videos in shards.items()}


def _read_plan(cache: Path) -> PlanTable | None:
    """Return the plan of a cache, ``None`` if it is missing or damaged: the source gives it anew."""
    try:
        return PlanTable.read(cache)
    except CacheVersionError:
        raise
    except CacheError as error:
        logger.warning("the plan is written anew: %s", error)
        return None


def _planned(root: Path, shards: tuple[ShardPlan, ...]) -> Iterable[PlannedVideo]:
    prefix = str(root).rstrip("/") + "/"
    for shard in shards:
        for video in shard.videos:
            path = str(video.path)
            try:
                source_bytes = os.stat(path).st_size
            except OSError:
                source_bytes = -1  # extraction will say why
            yield PlannedVideo(
                video=video.id,
                path=path.removeprefix(prefix),
                label=video.label or None,
                split=video.split or None,
                shard=shard.number,
                source_bytes=source_bytes,
            )


def _plan_changes(before: PlanTable, now: PlanTable) -> str:
    """Say what changed between two plans, ``""`` if nothing did. Where the source lies does not matter."""
    old, new = ({video.video: video for video in plan.videos} for plan in (before, now))
    parts = []
    for ids, what in ((new.keys() - old.keys(), "new"), (old.keys() - new.keys(), "gone")):
        if ids:
            parts.append(_count(ids, what))
    changed = {id_ for id_ in old.keys() & new.keys() if _identity(old[id_]) != _identity(new[id_])}
    if changed:
        parts.append(_count(changed, "changed in size, label or split"))
    return ", ".join(parts)


def _identity(video: PlannedVideo) -> tuple[object, ...]:
    return video.label, video.split, video.shard, video.source_bytes


def _count(ids: Iterable[str], what: str) -> str:
    names = sorted(ids)
    return f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def _tool_versions() -> dict[str, str]:
    versions = {"vidprep": _own_version(), "python": platform.python_version()}
    for name in _TOOLS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _own_version() -> str:
    from .. import __version__

    return __version__
