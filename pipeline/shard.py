"""One shard: its videos decoded once, every modality computed, everything written. What an engine schedules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from .cache import ShardWriter, config_hash
from .config import ExtractConfig
from .decode.choose import choose_decoder
from .errors import VidprepError
from .events import Event, VideoFinished, VideoStarted
from .extraction import VideoExtraction
from .first_layer import FirstLayer
from .in_flight import IN_FLIGHT, in_flight
from .plan import ShardPlan
from .videos import Video
from .warm_up import warm_up


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
    kernel_threads
        Threads of a CPU kernel, which the worker's process is set to; results do not depend on it. With more than one,
        decoding has a thread of its own too, beside kernels that take long.
    layer
        What features are computed with, if the config has ``conv1`` features: what its file held.
    given_up
        ``(video id, stage, reason)`` of videos not to be touched again: they killed or hung a worker.
    stop_on_failure
        Raise at the first video that fails instead of recording it.
    in_flight
        Videos that DALI decodes side by side; their results do not depend on it. With PyAV it is one at a time.
    """

    plan: ShardPlan
    config: ExtractConfig
    cache: Path
    decoder: str = "auto"
    threads: int = 1
    kernel_threads: int = 1
    layer: FirstLayer | None = None
    given_up: tuple[tuple[str, str, str], ...] = ()
    stop_on_failure: bool = False
    in_flight: int = IN_FLIGHT


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
    MissingExtraError
        If DALI was asked for and is not installed.
    """
    given_up = {video: (stage, reason) for video, stage, reason in task.given_up}
    decoder, note = choose_decoder(task.decoder, device)
    at_once = task.in_flight if decoder == "dali" else 1
    if device == "cpu":
        warm_up(task.config, task.layer)

    def start(video: Video) -> VideoExtraction:
        report(VideoStarted(video=video.id))
        return VideoExtraction(
            video,
            config=task.config,
            layer=task.layer,
            device=device,
            decoder=decoder,
            note=note,
            shard=shard,
            report=report,
            read_ahead=task.kernel_threads > 1,
        )

    with ExitStack() as resources:
        shard = resources.enter_context(
            ShardWriter(
                task.cache / "shards" / f"{task.plan.name}.h5",
                codec=task.config.codec,
                chunk_frames=task.config.chunk_frames,
                threads=task.threads,
                config_hash=config_hash(task.config.to_json()),
                in_flight=at_once,
                planned=task.plan.rows(),
            )
        )
        extractions = in_flight((video for video in task.plan.videos if video.id not in given_up), start, at_once)
        resources.enter_context(closing(extractions))
        for video in task.plan.videos:
            if video.id in given_up:
                stage, reason = given_up[video.id]
            else:
                done = next(extractions)
                assert done.video is video
                stage, reason = done.stage, done.reason
            if stage:
                if task.stop_on_failure:
                    advice = "--on-error skip records it and goes on"
                    raise StoppedAtFailure(f"{video.id} failed ({stage}): {reason}; {advice}")
                shard.fail(video.id, stage, reason)
            report(VideoFinished(video=video.id, stage=stage, reason=reason))
        shard.finish()
