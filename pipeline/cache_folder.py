"""A cache before a run: whether it is of the same request, its header and plan, what is done, what is left over."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from .cache import CacheHeader, PlannedVideo, PlanTable, shard_path, sidecar_path
from .cache.atomic import output_error
from .cache.format import (
    SHARDS_NAME,
    CacheVersionError,
    UnreadableError,
    shard_files,
    unfinished_files,
)
from .cache.sidecar import ShardInfo, read_sidecar
from .config import ExtractConfig
from .errors import CacheError, UsageError
from .plan import ShardPlan
from .videos import Video, VideoSet

logger = logging.getLogger(__name__)

_Table = TypeVar("_Table", CacheHeader, PlanTable)
_TOOLS = ("numpy", "av", "numba", "h5py", "hdf5plugin", "pyarrow", "nvidia-dali-cuda130", "cupy-cuda13x", "torch")
_REMEDY = "choose another folder, or --overwrite to start anew"


def open_cache(cache: Path, config: ExtractConfig, found: VideoSet, shards: tuple[ShardPlan, ...]) -> None:
    """Check that what is there was begun by the same request; write header and plan where they are lost.

    Raises
    ------
    UsageError
        It was begun with another config or other videos; the message names the difference.
    CacheError
        The cache is of another format version, or cannot be read.
    OutputError
        The folder cannot be written.
    """
    plan = PlanTable(
        config=config.to_json(),
        modalities=config.modalities,
        classes=found.classes,
        source=str(found.root),
        videos=tuple(video for shard in shards for video in shard.rows()),
    )
    header, before = read_or_none(CacheHeader, cache), read_or_none(PlanTable, cache)
    begun_with = header or before
    differences = [] if begun_with is None else config.differences(ExtractConfig.from_json(dict(begun_with.config)))
    if differences:
        raise UsageError(
            f"{cache} was begun with another configuration ({'; '.join(differences)}): choose another folder, the "
            "same options, or --overwrite to start anew"
        )
    changes = "" if before is None else _plan_changes(before, plan)
    if changes:
        raise UsageError(f"the videos are not those that {cache} was begun with ({changes}): {_REMEDY}")
    _check_shards(cache, plan, lost=begun_with is None or before is None)
    remove_leftovers(cache)
    try:
        (cache / SHARDS_NAME).mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(error, cache) from error
    if before is None or before.source != plan.source or before.config != plan.config:
        plan.write(cache)
    tools = tool_versions() if header is None else header.tools
    if header is None or header.source != plan.source or header.config != plan.config:
        plan.header(tools).write(cache)


def finished_shards(cache: Path, shards: Iterable[ShardPlan]) -> set[int]:
    """Return the numbers of planned shards that are done, after ``open_cache``.

    Sidecars that are damaged, or whose shard is, are removed. A shard in which a video failed because a worker died is
    to be built again: the machine may have been to blame.

    Raises
    ------
    UnreadableError, OutputError
        A file is there and cannot be read or removed.
    """
    done = set()
    for number in sorted(shard.number for shard in shards):
        path = sidecar_path(cache, number)
        try:
            if not path.exists():
                continue
            try:
                _, _, info = read_sidecar(path)
                _check_size(shard_path(cache, number), info.file_size)
            except (UnreadableError, CacheVersionError):
                raise
            except CacheError as error:
                logger.warning("shard %d is built again: %s", number, error)
                path.unlink()
                continue
        except OSError as error:
            raise output_error(error, path) from error
        again = [failure.video for failure in info.failures if failure.stage == "worker"]
        if again:
            logger.info("shard %d is built again: a worker died of %s", number, ", ".join(again))
        else:
            done.add(number)
    return done


def remove_leftovers(cache: Path) -> None:
    """Remove what killed workers and runs left half written. Needs the cache's lock."""
    for path in unfinished_files(cache):
        path.unlink(missing_ok=True)


def read_or_none(kind: type[_Table], cache: Path) -> _Table | None:
    """Read a cache's header or plan; ``None`` if it is missing or damaged.

    Raises
    ------
    CacheError
        The cache is of another format version, or the file cannot be read.
    """
    try:
        return kind.read(cache)
    except (CacheVersionError, UnreadableError):
        raise
    except CacheError as error:
        logger.info("%s", error)
        return None


def plan_of_sidecars(cache: Path, header: CacheHeader) -> PlanTable | None:
    """Make a lost plan from the sidecars; ``None`` unless there is an intact one of each planned shard."""
    videos: list[PlannedVideo] = []
    for number in range(header.num_shards or 0):
        try:
            _, _, info = read_sidecar(sidecar_path(cache, number))
        except (UnreadableError, CacheVersionError):
            raise
        except CacheError:
            return None
        if info.config_hash != header.config_hash or not info.planned:
            return None
        videos.extend(info.planned)
    return (
        PlanTable(
            config=header.config,
            modalities=header.modalities,
            classes=header.classes,
            source=header.source,
            videos=tuple(videos),
        )
        if videos
        else None
    )


def planned_shards(plan: PlanTable, source: Path | None = None) -> dict[int, ShardPlan]:
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


def _check_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise CacheError(f"{path} is missing") from None
    if size != expected:
        raise CacheError(f"{path} has {size} bytes instead of {expected}")


def _check_shards(cache: Path, plan: PlanTable, *, lost: bool) -> None:
    """Refuse finished shards that are not of this plan: they may be hours of somebody's work.

    Parameters
    ----------
    lost
        Whether header or plan are: then the shards alone tell what the cache was begun with.
    """
    planned = plan.shards()
    for number, path in shard_files(cache, ".parquet").items():
        try:
            _, table, info = read_sidecar(path)
        except (UnreadableError, CacheVersionError):
            raise
        except CacheError:
            continue  # finished_shards has it built again
        difference = _shard_difference(info, table, plan.config_hash, tuple(planned.get(number, ())), closely=lost)
        if difference and lost:
            raise UsageError(f"{path} was made by another extraction, {difference}: {_REMEDY}")
        if difference:
            raise UsageError(
                f"{path} is no part of this cache, it was made {difference}: run `vidprep verify {cache} --repair`, "
                "which replaces or removes it, or move it away"
            )
    strays = [path for number, path in shard_files(cache, ".h5").items() if number not in planned]
    if strays:
        raise UsageError(f"{strays[0]} belongs to no shard of the {len(planned)} planned ones: move it away, {_REMEDY}")


def _shard_difference(
    info: ShardInfo, table: pa.Table, expected_hash: str, planned: tuple[PlannedVideo, ...], *, closely: bool
) -> str:
    """Say how a finished shard differs from the plan, ``""`` if it does not; ``closely``: in sizes and labels too."""
    if info.config_hash != expected_hash:
        holds = {f"{row['modality']} of {row['width']}x{row['height']}, {row['codec']}" for row in _datasets(table)}
        return f"with another configuration (it holds {', '.join(sorted(holds)) or 'failures alone'})"
    changes = _changes(info.planned, planned) if closely and info.planned else ""
    if not changes and info.videos != tuple(video.video for video in planned):
        changes = f"it has {', '.join(info.videos[:3])}{', ...' if len(info.videos) > 3 else ''}"
    return f"of other videos ({changes})" if changes else ""


def _datasets(table: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = table.select(["modality", "width", "height", "codec"]).to_pylist()
    return rows


def _plan_changes(before: PlanTable, now: PlanTable) -> str:
    """Say what changed between two plans, ``""`` if nothing did. Where the source lies does not matter."""
    return _changes(before.videos, now.videos)


def _changes(before: Iterable[PlannedVideo], now: Iterable[PlannedVideo]) -> str:
    old, new = ({video.video: video for video in videos} for videos in (before, now))
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


def tool_versions() -> dict[str, str]:
    """Return the versions of the programs that make a cache, for its header."""
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
