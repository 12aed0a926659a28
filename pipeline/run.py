"""A whole run: find the videos, plan the shards, build those that are missing, merge the index."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from .cache import CacheLock, Failure, IndexSummary, build_index
from .cache.atomic import readable_bytes
from .cache_folder import finished_shards, open_cache, remove_leftovers
from .cache_place import cache_folder, check_place, remove_cache
from .config import DECODERS, DEFAULT_SIZE, ExtractConfig
from .decode.choose import choose_decoder
from .decode.size import FrameSize
from .devices import resolve_devices
from .engines.local import DEFAULT_TIME_LIMIT, run_tasks
from .errors import DiskFullError, UsageError
from .events import Advanced, Event, ShardFinished, VideoFinished
from .layer_file import PREFIX, LayerFile, read_layer_file
from .motion import Assignment, MotionOptions
from .numbers import frame_rate, seconds, whole_number
from .option_names import option
from .plan import plan_shards
from .shard import ShardTask
from .videos import find_videos

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run is. Counts are of this run alone, but for ``videos_before``.

    Parameters
    ----------
    videos_total
        Videos of the whole cache.
    videos_before
        Those in shards that an earlier run finished.
    finished, failed
        Ids.
    frames
        Source frames decoded.
    num_bytes
        Compressed bytes.
    """

    videos_total: int
    videos_before: int
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    frames: int = 0
    num_bytes: int = 0
    shards: int = 0

    def take(self, event: Event) -> None:
        """Count an event in."""
        if isinstance(event, Advanced):
            self.frames += event.frames
            self.num_bytes += event.num_bytes
        elif isinstance(event, VideoFinished):
            (self.failed if event.stage else self.finished).add(event.video)
        elif isinstance(event, ShardFinished):
            self.shards += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractReport:
    """What a run did.

    Parameters
    ----------
    cache
        The cache's folder.
    num_videos
        Videos in the cache now.
    videos_before
        Videos that finished shards of an earlier run already held, failed ones included.
    failures
        All videos that are not in it, with stage and reason.
    frames, num_bytes
        Source frames decoded and compressed bytes written by this run.
    seconds
        Wall time of this run.
    warnings
        What was left out of the source, one sentence each.
    """

    cache: Path
    num_videos: int
    videos_before: int
    failures: tuple[Failure, ...]
    frames: int
    num_bytes: int
    seconds: float
    warnings: tuple[str, ...]


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    modalities: Iterable[str] = ("residual",),
    size: tuple[int, int] | None = None,
    short_side: int | None = None,
    fps: float | Fraction | None = None,
    step: int = 1,
    device: str = "auto",
    decoder: str = "auto",
    codec: str = "lz4",
    shard_videos: int | None = None,
    flow_preset: str | None = None,
    flow_dtype: str | None = None,
    features: str | None = None,
    radius: int | tuple[int, int] | None = None,
    assignment: Assignment | None = None,
    temperature: float | None = None,
    warp_by: str | None = None,
    difference_dtype: str | None = None,
    workers: int | None = None,
    labels: str | None = None,
    on_error: Literal["skip", "fail"] = "skip",
    overwrite: bool = False,
    time_limit: float = DEFAULT_TIME_LIMIT,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractReport:
    """Extract modalities of videos into a cache; an interrupted run is resumed.

    Workers are processes that import nothing of the calling script: it needs no ``if __name__ == "__main__":``.

    Parameters
    ----------
    source
        A folder (class = first sub-folder), one video, or a list: see ``pipeline.videos.find_videos``.
    out
        The cache's folder; made if it is not there.
    modalities
        ``rgb``, ``residual``, ``flow``, ``displacement``, ``cost-volume``, ``warped-difference``.
    size, short_side
        ``(height, width)`` of the frames, ``(128, 170)`` unless ``short_side`` keeps each video's shape.
    fps
        Frames per second picked by timestamp; all frames by default.
    step
        Distance in frames of the two pictures that motion is computed from.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    decoder
        ``auto``, ``dali`` or ``pyav``.
    codec
        ``lz4``, ``zstd`` or ``none``.
    shard_videos
        Videos of a shard; by default chosen by their number.
    flow_preset, flow_dtype, features, radius, assignment, temperature, warp_by, difference_dtype
        Options of the motion modalities: see ``pipeline.motion.MotionOptions``. Features are ``"zncc"``, or
        ``"conv1:FILE"`` with a checkpoint of torch: see ``pipeline.first_layer.find_first_layer``.
    workers
        Worker processes; by default one per core, or per GPU.
    labels
        ``ucf101:DIR``, ``hmdb51:DIR``, ``kinetics:FILE.csv`` or a CSV ``path,label[,split]``.
    on_error
        ``skip`` records a broken video and goes on; ``fail`` stops at the first.
    overwrite
        Remove a cache that is there and start anew.
    time_limit
        Seconds that a video may go without a finished chunk of frames before its worker is killed.
    on_progress
        Called from this thread whenever something happened, a few times a second for each worker.

    Returns
    -------
    ExtractReport

    Raises
    ------
    UsageError
        The request is wrong, or does not fit the cache that is there.
    MissingExtraError
        What was asked for is not installed.
    OutputError
        The cache cannot be written, or is being written by another run.
    VidprepError
        With ``on_error="fail"``, when a video fails.
    """
    began = time.monotonic()
    known: str | LayerFile | None = features
    layer = None
    if isinstance(features, str) and features.startswith(PREFIX):
        known, layer = read_layer_file(features, resolve_devices(device))
    config = ExtractConfig(
        modalities=_names(modalities),
        size=_frame_size(size, short_side),
        fps=None if fps is None else frame_rate(fps),
        step=step,
        codec=codec,
        shard_videos=shard_videos,
        motion=MotionOptions(
            flow_preset=flow_preset,
            flow_dtype=flow_dtype,
            features=known,
            radius=radius,
            assignment=assignment,
            temperature=temperature,
            warp_by=warp_by,
            difference_dtype=difference_dtype,
        ),
    )
    if decoder not in DECODERS:
        raise UsageError(f"there is no {option('decoder')} {decoder!r}: choose from {', '.join(DECODERS)}")
    if on_error not in ("skip", "fail"):
        raise UsageError(f"on_error must be skip or fail, got {on_error!r}")
    if not isinstance(overwrite, bool):
        raise UsageError(f"overwrite must be True or False, got {overwrite!r}")  # "no" would remove a cache
    for name, value in (("source", source), ("out", out), ("labels", labels or "")):
        if not isinstance(value, (str, os.PathLike)):
            raise UsageError(f"{name} must be a path, got {value!r}")
    time_limit = seconds("time_limit", time_limit)
    devices = resolve_devices(device)
    choose_decoder(decoder, devices[0])  # says what is not installed, before work starts
    num_workers = check_workers(workers, devices)
    cache = cache_folder(out)
    found = find_videos(source, labels)
    check_place(cache, Path(os.path.abspath(source)), found.videos, overwrite=overwrite)
    shards = plan_shards(found.videos, config.shard_videos)
    with CacheLock(cache):
        if overwrite:
            remove_cache(cache)
        open_cache(cache, config, found, shards)
        done = finished_shards(cache, shards)
        num_missing = len(shards) - len(done)
        tasks = [
            ShardTask(
                plan=shard,
                config=config,
                cache=cache,
                decoder=decoder,
                threads=compression_threads(num_workers),
                kernel_threads=kernel_threads(min(num_workers, num_missing)),
                layer=layer,
                stop_on_failure=on_error == "fail",
            )
            for shard in shards
            if shard.number not in done
        ]
        progress = Progress(
            videos_total=len(found.videos),
            videos_before=sum(len(shard.videos) for shard in shards if shard.number in done),
        )

        index = build_shards(
            tasks,
            cache,
            devices=devices,
            workers=num_workers,
            time_limit=time_limit,
            progress=progress,
            on_progress=on_progress,
        )
    return ExtractReport(
        cache=cache,
        num_videos=index.num_videos,
        videos_before=progress.videos_before,
        failures=index.failures,
        frames=progress.frames,
        num_bytes=progress.num_bytes,
        seconds=time.monotonic() - began,
        warnings=found.warnings,
    )


def build_shards(
    tasks: Sequence[ShardTask],
    cache: Path,
    *,
    devices: Sequence[str],
    workers: int,
    time_limit: float,
    progress: Progress,
    on_progress: Callable[[Progress], None] | None,
) -> IndexSummary:
    """Build shards of a cache whose lock is held, leave nothing half written, and merge the index anew.

    Parameters
    ----------
    tasks, devices, workers, time_limit
        As for ``run_tasks``.
    cache
        The cache's folder.
    progress
        Counts what happens; ``on_progress`` is called with it then.
    """

    def on_event(event: Event) -> None:
        progress.take(event)
        if on_progress is not None:
            on_progress(progress)

    try:
        run_tasks(tasks, devices=devices, workers=workers, time_limit=time_limit, on_event=on_event)
    except DiskFullError as error:
        raise _with_estimate(error, progress) from error
    finally:
        remove_leftovers(cache)
    return build_index(cache)


def check_workers(workers: int | None, devices: tuple[str, ...]) -> int:
    """Return the number of worker processes: what was asked for, or one per core (CPU) or per GPU."""
    if workers is not None:
        return whole_number(workers, 1, None, "at least 1 worker is needed")
    return len(devices) if devices != ("cpu",) else num_cores()


def num_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compression_threads(num_workers: int) -> int:
    """Return a worker's compression threads: the cores that workers leave idle. With none, it compresses by itself."""
    return min(8, num_cores() // num_workers - 1) if num_cores() > num_workers else 0


def kernel_threads(num_workers: int) -> int:
    """Return a worker's threads for CPU kernels: its share of the cores, at least one."""
    return max(1, num_cores() // num_workers)


def _with_estimate(error: DiskFullError, progress: Progress) -> DiskFullError:
    """Add how much room the cache needs, going by the videos that this run has seen."""
    if progress.num_bytes <= 0:
        return error
    total = progress.num_bytes / max(1, len(progress.finished)) * progress.videos_total
    return DiskFullError(f"{error}; the whole cache needs about {readable_bytes(round(total))}")


def _names(modalities: Iterable[str]) -> tuple[str, ...]:
    if isinstance(modalities, str):
        return (modalities,)
    try:
        return tuple(modalities)
    except TypeError:
        raise UsageError(f"modalities must be a list of names such as ['residual'], got {modalities!r}") from None


def _frame_size(size: tuple[int, int] | None, short_side: int | None) -> FrameSize:
    if size is not None and short_side is not None:
        raise UsageError(f"give either {option('size')} or {option('short_side')}, not both")
    if short_side is not None:
        return FrameSize(short_side=short_side)
    if size is None:
        return DEFAULT_SIZE
    try:
        height, width = size
    except (TypeError, ValueError):
        raise UsageError(f"size must be (height, width) in pixels, such as (128, 170), got {size!r}") from None
    return FrameSize(height=height, width=width)
