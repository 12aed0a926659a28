"""Making again what verification found damaged, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .cache import CacheHeader, CacheLock, PlanTable, VerifyReport, shard_path, sidecar_path, verify
from .cache.format import HEADER_NAME, PLAN_NAME
from .cache.sidecar import read_sidecar
from .cache_folder import plan_of_sidecars, planned_shards, read_or_none, remove_leftovers, tool_versions
from .config import ExtractConfig
from .devices import resolve_devices
from .engines.local import DEFAULT_TIME_LIMIT
from .errors import CacheError
from .layer_file import read_layer_again
from .run import Progress, build_shards, check_workers, compression_threads, kernel_threads
from .shard import ShardTask

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What was found, what was made again, and what verification says now.

    Parameters
    ----------
    rebuilt
        Numbers of the shards that were extracted again.
    """

    before: VerifyReport
    rebuilt: tuple[int, ...]
    after: VerifyReport


def repair(
    cache: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    device: str = "auto",
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> RepairReport:
    """Verify a cache, extract its damaged and missing shards again, and merge the index anew.

    A shard is replaced only once its successor is complete. Of ``cache.json`` and ``plan.parquet`` each is made from
    the other, the plan with the help of the sidecars.

    Parameters
    ----------
    cache
        The cache's folder.
    source
        Where the source lies now, if it was moved since.
    device, workers
        As for ``extract``.
    on_progress
        As for ``extract``.

    Raises
    ------
    CacheError
        If header or plan cannot be made again, or videos or the file of features that a damaged shard needs are gone or
        have changed; nothing was touched then.
    MissingExtraError
        If the features need torch, and it is not installed.
    OutputError
        If the cache cannot be written.
    """
    folder = Path(os.path.abspath(cache))
    if not (folder / PLAN_NAME).is_file():
        CacheHeader.read(folder)  # says what is wrong, before the lock makes the folder
    devices = resolve_devices(device)
    num_workers = check_workers(workers, devices)
    with CacheLock(folder):
        before = verify(folder, threads=num_workers)
        remove_leftovers(folder)
        if before.ok:
            return RepairReport(before=before, rebuilt=(), after=before)
        header, plan = _header_and_plan(folder)
        root = None if source is None else Path(os.path.abspath(source))
        shards = planned_shards(plan, root)
        damaged = [shards[number] for number in before.damaged_shards if number in shards]
        _check_sources(folder, plan, root, {shard.number for shard in damaged})
        config = ExtractConfig.from_json(dict(header.config))
        known = config.motion.layer_file if damaged else None
        layer = None if known is None else read_layer_again(known, devices)
        if {damage.kind for damage in before.damage} & {"header", "plan"}:
            plan.write(folder)
            header.write(folder)
        for number in before.stray_shards:
            sidecar_path(folder, number).unlink(missing_ok=True)
            shard_path(folder, number).unlink(missing_ok=True)
        progress = Progress(
            videos_total=len(plan.videos), videos_before=len(plan.videos) - sum(len(s.videos) for s in damaged)
        )

        tasks = [
            ShardTask(
                plan=shard,
                config=config,
                cache=folder,
                threads=compression_threads(num_workers),
                kernel_threads=kernel_threads(min(num_workers, len(damaged))),
                layer=layer,
            )
            for shard in damaged
        ]
        build_shards(
            tasks,
            folder,
            devices=devices,
            workers=num_workers,
            time_limit=DEFAULT_TIME_LIMIT,
            progress=progress,
            on_progress=on_progress,
        )
        after = verify(folder, threads=num_workers)
    return RepairReport(before=before, rebuilt=tuple(shard.number for shard in damaged), after=after)


def _header_and_plan(cache: Path) -> tuple[CacheHeader, PlanTable]:
    """Read both, and make the one that is damaged from the other."""
    header, plan = read_or_none(CacheHeader, cache), read_or_none(PlanTable, cache)
    if plan is not None and (header is None or header.config_hash == plan.config_hash):
        return header or plan.header(tool_versions()), plan
    if header is not None:
        plan = plan_of_sidecars(cache, header)
        if plan is not None:
            return header, plan
    lost = f"{HEADER_NAME} and {PLAN_NAME} are" if header is None else f"{PLAN_NAME}, and the sidecar of a shard, are"
    raise CacheError(
        f"{lost} damaged or missing in {cache}, and neither can be made from what is left: run the `vidprep extract` "
        "that made this cache again, which writes them anew and keeps all shards that are whole"
    )


def _check_sources(cache: Path, plan: PlanTable, root: Path | None, numbers: set[int]) -> None:
    """Refuse to make a shard again from videos that are not what they were: it would lose what the old one holds."""
    lost = []
    for number in numbers:
        failed = _failed_before(cache, number)
        for video in plan.videos:
            if video.shard == number and video.video not in failed and video.source_bytes >= 0:
                path = (root or Path(plan.source)) / video.path
                if not path.is_file() or path.stat().st_size != video.source_bytes:
                    lost.append(str(path))
    if lost:
        names = ", ".join(sorted(lost)[:_NAMED]) + (", ..." if len(lost) > _NAMED else "")
        raise CacheError(
            f"{len(lost)} of the videos that the damaged shards need are gone or have changed ({names}): bring them "
            "back, or say with --source where they are now; nothing was touched"
        )


def _failed_before(cache: Path, number: int) -> set[str]:
    try:
        _, _, info = read_sidecar(sidecar_path(cache, number))
    except (CacheError, OSError):
        return set()
    return {failure.video for failure in info.failures}
