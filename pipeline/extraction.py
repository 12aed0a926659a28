"""One video: decoded once, every modality computed, everything written. Here a video's errors end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing

from .cache import ShardWriter, VideoEntry, VideoWriter
from .config import ExtractConfig
from .decode import FrameSource
from .decode.choose import dali_note, open_frames, start_dali
from .decode.read_ahead import ReadAheadSource
from .errors import VideoError, VidprepError
from .events import Advanced, Event
from .first_layer import FirstLayer
from .modalities import get_modality
from .modality_stream import ModalityStream, check_length
from .motion_frames import MotionFrames
from .videos import Video

_REPORT_SECONDS = 0.2
# A chunk of flow costs fresh memory, and a wait for its last pair of frames: some chunks at once spare it 2% and more.
# Features are too large for that: those of one chunk just stay in memory for all that need them.
_FLOW_CHUNKS = 4
_FLOW_PIXELS = 1 << 22  # of all frames at a time; beyond, memory counts

logger = logging.getLogger(__name__)


class VideoExtraction:
    """One video on its way into a shard, a chunk of frames a step.

    DALI's errors are not the last word on a video: it is done again from its start with PyAV, and only if that fails,
    the video has failed. Steps that decode with PyAV, and the last one, which puts the video into the shard, ``wait``
    until the videos before it are done.

    Parameters
    ----------
    video
        Which one.
    config
        What to compute.
    layer
        As for ``ShardTask``.
    device
        ``cpu`` or ``cuda:N``.
    decoder, note
        ``dali`` or ``pyav``, as ``choose_decoder`` returns them.
    shard
        Where to.
    report
        Called with ``Advanced`` a few times a second.
    read_ahead
        Whether PyAV decodes in a thread beside the kernels, where these take long.

    Attributes
    ----------
    done, waits
        As for ``in_flight.Work``.
    stage, reason
        Why it failed; ``""`` otherwise.
    """

    def __init__(
        self,
        video: Video,
        *,
        config: ExtractConfig,
        layer: FirstLayer | None = None,
        device: str,
        decoder: str,
        note: str,
        shard: ShardWriter,
        report: Callable[[Event], None],
        read_ahead: bool = False,
    ) -> None:
        self.video = video
        self.done = self.waits = False
        self.stage = self.reason = ""
        self._config = config
        self._layer = layer
        self._modalities = [get_modality(name) for name in config.modalities]
        self._device = device
        self._decoder = decoder
        self._note = note
        self._shard = shard
        self._read_ahead = read_ahead and config.motion.in_use and device == "cpu"
        self._meter = _Meter(report)
        self._steps = self._extract()

    def step(self) -> None:
        """Go on. Only errors that are not the video's are raised."""
        try:
            next(self._steps)
        except StopIteration:
            self._meter.flush()
            self.done = True
        except VideoError as error:
            self._failed(error.stage, error.reason)
        except (VidprepError, ConnectionError):
            raise  # the cache's trouble, not the video's, or nobody to report to any more
        except MemoryError:
            self._failed("compute", "not enough memory for this video")
        except Exception as error:
            logger.debug("unexpected error in %s", self.video.id, exc_info=True)
            self._failed("compute", f"unexpected {type(error).__name__}: {error}")

    def close(self) -> None:
        """Stop; nothing of the video stays in the shard unless it is done."""
        self._steps.close()

    def _failed(self, stage: str, reason: str) -> None:
        if self._decoder == "dali":
            logger.info("%s is decoded again with PyAV: %s", self.video.id, reason)
            self._meter.take_back()
            self._decoder, self._note, self.waits = "pyav", dali_note(reason), True
            self._steps = self._extract()
        else:
            self._meter.flush()
            self.stage, self.reason, self.done = stage, reason, True

    def _extract(self) -> Generator[None, None, None]:
        config = self._config
        with self._shard.video(self.video.id) as out:
            self._meter.out = out
            source = yield from self._open()
            with closing(source):
                yield
                streams = [ModalityStream(modality, config, out) for modality in self._modalities]
                num_frames = 0
                for chunk in source:
                    num_new = len(chunk.times)
                    num_frames += num_new
                    frames = MotionFrames(chunk.frames, config.step, config.motion, self._layer, self._meter.tick)
                    for stream in streams:
                        stream.add(chunk, frames)
                    self._meter.add(num_new)
                    yield
                check_length(config, num_frames)
                out.describe(self._entry(source, num_frames))
            self.waits = True
            yield

    def _open(self) -> Generator[None, None, FrameSource]:
        config = self._config
        lead = max(modality.halo(config.step) for modality in self._modalities)
        chunk_frames = config.chunk_frames
        motion = config.motion
        if motion.flow_preset and not motion.features:
            fitting = _FLOW_PIXELS // (chunk_frames * config.size.about_pixels)
            chunk_frames *= max(1, min(fitting, _FLOW_CHUNKS))
        if self._decoder == "dali":
            started, self._note = start_dali(
                self.video.path,
                size=config.size,
                fps=config.fps,
                chunk_frames=chunk_frames,
                device=self._device,
                lead=lead,
            )
            if started is not None:
                return started
            self._decoder = "pyav"
        self.waits = True
        yield
        source, _ = open_frames(
            self.video.path,
            size=config.size,
            fps=config.fps,
            chunk_frames=chunk_frames,
            device=self._device,
            decoder="pyav",
            lead=lead,
        )
        return ReadAheadSource(source) if self._read_ahead else source

    def _entry(self, source: FrameSource, num_frames: int) -> VideoEntry:
        info = source.info
        return VideoEntry(
            label=self.video.label or None,
            split=self.video.split or None,
            fps=float(self._config.fps or info.fps),
            num_frames=num_frames,
            codec=info.codec,
            pixel_format=info.pixel_format,
            width=info.width,
            height=info.height,
            rotation=info.rotation,
            decoder=source.decoder,
            decoder_note=self._note,
        )


class _Meter:
    """Reports a video's source frames and compressed bytes: a few times a second, and what is left at its end."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self.out: VideoWriter | None = None
        self._report = report
        self._frames = 0
        self._reported = Advanced(frames=0, num_bytes=0)
        self._last = time.monotonic()

    def add(self, num_frames: int) -> None:
        self._frames += num_frames
        self.tick()

    def tick(self) -> None:
        """Say that work goes on, if nothing was said for a while."""
        if time.monotonic() - self._last > _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._set(self._frames, 0 if self.out is None else self.out.bytes_written)

    def take_back(self) -> None:
        """The video is begun anew."""
        self._frames = 0
        self._set(0, 0)

    def _set(self, frames: int, num_bytes: int) -> None:
        before = self._reported
        self._reported = Advanced(frames=frames, num_bytes=num_bytes)
        self._report(Advanced(frames=frames - before.frames, num_bytes=num_bytes - before.num_bytes))
        self._last = time.monotonic()
