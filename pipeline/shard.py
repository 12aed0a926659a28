"""One shard: its videos decoded once, every modality computed, everything written. What an engine schedules."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cache import DatasetSpec, ShardWriter, VideoEntry, VideoWriter, config_hash
from .config import ExtractConfig
from .decode import FrameSource, open_frames
from .devices import concatenate, to_host
from .errors import VideoError, VidprepError
from .events import Advanced, Event, VideoFinished, VideoStarted
from .modalities import Modality, get_modality
from .plan import ShardPlan
from .videos import Video

_REPORT_SECONDS = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Everything a worker needs to build one shard, wherever it runs.

    Parameters
    ----------
    plan
        Which videos.
    config
        What to compute.
    cache
        The cache's folder.
    decoder
        ``auto``, ``dali`` or ``pyav``.
    threads
        Compression threads.
    given_up
        ``(video id, stage, reason)`` of videos not to be touched again: they killed or hung a worker.
    stop_on_failure
        Raise at the first video that fails instead of recording it.
    """

    plan: ShardPlan
    config: ExtractConfig
    cache: Path
    decoder: str = "auto"
    threads: int = 1
    given_up: tuple[tuple[str, str, str], ...] = ()
    stop_on_failure: bool = False


class StoppedAtFailure(VidprepError):
    """A video failed in a run with ``--on-error fail``."""


def build_shard(task: ShardTask, device: str, report: Callable[[Event], None]) -> None:
    """Extract every video of the shard and put the finished shard in place.

    Parameters
    ----------
    task
        What to do.
    device
        ``cpu`` or ``cuda:N``.
    report
        Called with what happens, from this thread.

    Raises
    ------
    OutputError
        If the shard cannot be written; nothing of it is left.
    StoppedAtFailure
        With ``stop_on_failure``, when a video fails.
    """
    given_up = {video: (stage, reason) for video, stage, reason in task.given_up}
    path = task.cache / "shards" / f"{task.plan.name}.h5"
    with ShardWriter(
        path,
        codec=task.config.codec,
        chunk_frames=task.config.chunk_frames,
        threads=task.threads,
        config_hash=config_hash(task.config.to_json()),
    ) as shard:
        for video in task.plan.videos:
            if video.id in given_up:
                stage, reason = given_up[video.id]
            else:
                report(VideoStarted(video=video.id))
                stage, reason = _try_video(video, task, device, shard, report)
            if stage:
                if task.stop_on_failure:
                    advice = "--on-error skip records it and goes on"
                    raise StoppedAtFailure(f"{video.id} failed ({stage}): {reason}; {advice}")
                shard.fail(video.id, stage, reason)
            report(VideoFinished(video=video.id, stage=stage, reason=reason))
        shard.finish()


def _try_video(
    video: Video, task: ShardTask, device: str, shard: ShardWriter, report: Callable[[Event], None]
) -> tuple[str, str]:
    """Extract one video; return ``("", "")`` or why not. The boundary at which a video's errors end."""
    try:
        with _Meter(report) as meter, shard.video(video.id) as out:
            meter.out = out
            extract_video(video, task, device, out, meter)
    except VideoError as error:
        return error.stage, error.reason
    except (VidprepError, ConnectionError):
        raise  # the cache's trouble, not the video's, or nobody to report to any more
    except MemoryError:
        return "compute", "not enough memory for this video"
    except Exception as error:
        logger.debug("unexpected error in %s", video.id, exc_info=True)
        return "compute", f"unexpected {type(error).__name__}: {error}"
    return "", ""


def extract_video(
    video: Video, task: ShardTask, device: str, out: VideoWriter, meter: _Meter
) -> None:
    """Decode one video once and write all its modalities into ``out``."""
    config = task.config
    source, note = open_frames(
        video.path,
        size=config.size,
        fps=config.fps,
        chunk_frames=config.chunk_frames,
        device=device,
        decoder=task.decoder,
    )
    try:
        streams = [_ModalityStream(get_modality(name), config.step, out) for name in config.modalities]
        num_frames = 0
        for chunk in source:
            num_frames += len(chunk.frames)
            for stream in streams:
                stream.add(chunk.frames)
            meter.add(len(chunk.frames))
        for stream in streams:
            stream.check(num_frames)
        out.describe(_entry(video, source, num_frames, config.fps, note))
    finally:
        source.close()


def _entry(
    video: Video, source: FrameSource, num_frames: int, fps: Fraction | None, note: str
) -> VideoEntry:
    info = source.info
    return VideoEntry(
        label=video.label or None,
        split=video.split or None,
        fps=float(fps or info.fps),
        num_frames=num_frames,
        codec=info.codec,
        pixel_format=info.pixel_format,
        width=info.width,
        height=info.height,
        rotation=info.rotation,
        decoder=source.decoder,
        decoder_note=note,
    )


class _Meter:
    """Reports a video's source frames and compressed bytes: a few times a second, and what is left on leaving."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self.out: VideoWriter | None = None
        self._report = report
        self._frames = 0  # not yet reported
        self._num_bytes = 0  # reported
        self._last = time.monotonic()

    def add(self, num_frames: int) -> None:
        self._frames += num_frames
        if time.monotonic() - self._last > _REPORT_SECONDS:
            self._flush()

    def _flush(self) -> None:
        num_bytes = 0 if self.out is None else self.out.bytes_written
        self._report(Advanced(frames=self._frames, num_bytes=num_bytes - self._num_bytes))
        self._frames, self._num_bytes, self._last = 0, num_bytes, time.monotonic()

    def __enter__(self) -> _Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, VidprepError):
            self._flush()


class _ModalityStream:
    """One modality of one video: keeps the frames that the next chunk's first items reach back to."""

    def __init__(self, modality: Modality, step: int, out: VideoWriter) -> None:
        self._modality = modality
        self._step = step
        self._halo = modality.halo(step)
        self._tail: Any = None
        self._out = out
        self._declared = False

    def add(self, frames: Any) -> None:
        halo = self._halo
        if halo and self._tail is not None:
            self._compute(concatenate(self._tail, frames[:halo]))
        self._compute(frames)
        if halo:
            # of a chunk shorter than the halo, older frames are still needed
            recent = frames if self._tail is None or len(frames) >= halo else concatenate(self._tail, frames)
            self._tail = recent[-halo:].copy()

    def check(self, num_frames: int) -> None:
        if num_frames <= self._halo:
            frames = "1 frame" if num_frames == 1 else f"{num_frames} frames"
            raise VideoError(
                "compute",
                f"too short: {self._modality.name} with step {self._step} needs at least {self._halo + 1} frames, "
                f"and this video has {frames}",
            )

    def _compute(self, frames: Any) -> None:
        """Compute the items of consecutive frames, straight into the chunks that are being filled."""
        done, count = 0, len(frames) - self._halo
        while done < count:
            room = self._room(frames)
            part = frames[done : done + len(room) + self._halo]
            taken = len(part) - self._halo
            if isinstance(frames, np.ndarray):
                self._modality.compute(part, self._step, room[:taken])
            else:
                room[:taken] = to_host(self._on_device(part, taken))
            self._out.advance(self._modality.name, taken)
            done += taken

    def _on_device(self, part: Any, count: int) -> Any:
        import cupy

        items = cupy.empty((count, *part.shape[1:3], self._modality.channels), self._modality.dtype)
        self._modality.compute(part, self._step, items)
        return items

    def _room(self, frames: Any) -> NDArray[Any]:
        if not self._declared:
            self._out.add_dataset(
                DatasetSpec(
                    modality=self._modality.name,
                    height=frames.shape[1],
                    width=frames.shape[2],
                    channels=self._modality.channels,
                    dtype=self._modality.dtype,
                )
            )
            self._declared = True
        return self._out.room(self._modality.name)
