"""One DALI pipeline that decodes one video at a time. Several of them, side by side, keep all NVDEC engines busy.

``fn.experimental.inputs.video`` keeps its decoder from one run to the next, so a video is decoded once from start to
end, a window of frames a run, and memory does not depend on its length. ``fn.decoders.video`` makes a new decoder each
run and goes through all frames before the window again (seen in DALI 2.4: a window at frame 384 costs as much as the
384 frames before it); and an error in one sample ends the batch. Here an error costs the video that caused it.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtraError, VideoError

_MOST_IDLE = 16  # lanes of one kind kept for the next videos
_DALI_ERRORS = (RuntimeError, IndexError)  # what DALI's binding raises, by the C++ exception's type


@dataclass(frozen=True, slots=True)
class LaneKind:
    """What is fixed when a pipeline is built.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda:N``.
    window
        Frames a run.
    recolour
        Whether a colour matrix is applied.
    num_threads
        CPU threads of the pipeline.
    """

    device: str
    window: int
    recolour: bool
    num_threads: int


class Lane:
    """A built pipeline: ``feed`` a Matroska file, then ``schedule`` and ``collect`` once per window of its frames.

    Parameters
    ----------
    kind
        What to build.

    Raises
    ------
    MissingExtraError
        If DALI (or CuPy, for a GPU) is not installed.
    """

    def __init__(self, kind: LaneKind) -> None:
        self.kind = kind
        self._pipe: Any = _build(kind)
        self._size = np.empty(2, np.float32)
        self._matrix: Any = None
        self._kept: Any = None
        self.healthy = True
        self.pending = False

    def feed(self, data: NDArray[np.uint8], size: tuple[int, int], matrix: NDArray[np.float32] | None) -> None:
        """Begin a file; all windows of the one before have been collected.

        Parameters
        ----------
        data
            ``(bytes,)`` uint8; copied.
        size
            ``(height, width)`` of the frames to give, before rotation.
        matrix
            ``(3, 3)`` float32 applied to RGB; given exactly if the lane recolours.
        """
        assert not self.pending
        assert (matrix is not None) == self.kind.recolour
        self._size, self._matrix = np.array(size, np.float32), matrix
        with _dali_errors(self):
            self._pipe.feed_input("video", [data])

    def schedule(self) -> None:
        """Start decoding the next window, on DALI's threads."""
        assert not self.pending
        with _dali_errors(self):
            self._pipe.feed_input("size", [self._size])
            if self._matrix is not None:
                self._pipe.feed_input("matrix", [self._matrix])
            self._pipe.schedule_run()
            self.pending = True

    def collect(self) -> tuple[Any, tuple[int, int, int]]:
        """Wait for the window that was scheduled.

        Returns
        -------
        frames
            ``(T, H, W, 3)`` uint8, NumPy or CuPy: a view of DALI's memory. Copy from it, on the current CUDA stream,
            then call ``release``.
        source
            ``(T, H, W)`` of the decoded pictures, to check against what was expected.
        """
        assert self.pending
        self.pending = False
        with _dali_errors(self), on_device(self.kind.device):
            # Without a stream DALI returns when the outputs are ready, so that any stream may read them.
            frames, shapes = self._pipe.share_outputs()
            frames = frames[0]
            source = np.asarray(shapes.as_cpu()[0] if hasattr(shapes, "as_cpu") else shapes[0])
            if self.kind.device == "cpu":
                view = np.asarray(frames)
            else:
                import cupy

                view = cupy.from_dlpack(frames)  # CuPy passes its current stream on to __dlpack__
        return view, (int(source[0]), int(source[1]), int(source[2]))

    def release(self, frames: Any) -> None:
        """Give the memory of ``frames`` back once the copies queued on the current CUDA stream have read it.

        The host does not wait for them here: DALI's default executor hands out its buffers by reference count (a DLPack
        capsule counts), so the next run writes elsewhere. The view is kept until its copies are done, which is waited
        for when the next window is released, a whole decode later.
        """
        self._forget()
        if self.kind.device != "cpu":
            import cupy

            with on_device(self.kind.device):
                self._kept = (frames, cupy.cuda.get_current_stream().record())
        with _dali_errors(self):
            self._pipe.release_outputs()

    def _forget(self) -> None:
        if self._kept is not None:
            self._kept[1].synchronize()
            self._kept = None

    def close(self) -> None:
        """Destroy the pipeline; waits for a window under way."""
        if self._pipe is None:
            return
        self._forget()
        pipe, self._pipe, self.pending, self.healthy = self._pipe, None, False, False
        del pipe  # the last reference: DALI stops its threads and frees its memory


class LanePool:
    """Idle lanes of this process, so that a video need not wait for a pipeline to be built."""

    def __init__(self) -> None:
        self._idle: dict[LaneKind, list[Lane]] = defaultdict(list)
        self._inherited: list[Any] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self, kind: LaneKind) -> Lane:
        """Return an idle lane, or a new one."""
        with self._lock:
            if self._pid != os.getpid():
                # After a fork the parent's pipelines have no threads here: to use one, or to destroy it, would hang.
                self._inherited.append(self._idle)
                self._idle, self._pid = defaultdict(list), os.getpid()
            if self._idle[kind]:
                return self._idle[kind].pop()
        return Lane(kind)

    def give_back(self, lane: Lane) -> None:
        """Keep a lane that has collected all windows of what it was fed; destroy any other."""
        with self._lock:
            idle = self._idle[lane.kind]
            if lane.healthy and not lane.pending and len(idle) < _MOST_IDLE:
                idle.append(lane)
                return
        lane.close()

    def close(self) -> None:
        """Destroy all idle lanes."""
        if self._pid != os.getpid():
            return
        with self._lock:
            lanes = [lane for idle in self._idle.values() for lane in idle]
            self._idle.clear()
        for lane in lanes:
            lane.close()


lanes = LanePool()
atexit.register(lanes.close)  # DALI's threads must end before the interpreter does


def on_device(device: str) -> AbstractContextManager[Any]:
    """Return a context in which CuPy works on ``device``; nothing for ``cpu``."""
    if device == "cpu":
        return nullcontext()
    import cupy

    context: AbstractContextManager[Any] = cupy.cuda.Device(_device_id(device))
    return context


def require_dali(device: str) -> None:
    """Raise ``MissingExtraError`` if what decoding with DALI on ``device`` needs is not installed."""
    try:
        import nvidia.dali  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            'DALI is not installed: pip install "vidprep[cuda13]", or use --decoder pyav'
        ) from error
    if device != "cpu":
        try:
            import cupy  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                'CuPy is not installed: pip install "vidprep[cuda13]", or use --device cpu'
            ) from error


def _device_id(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _build(kind: LaneKind) -> Any:
    require_dali(kind.device)
    import nvidia.dali

    dali: Any = nvidia.dali  # its annotations do not know that fn.resize of one input gives one output
    fn, types = dali.fn, dali.types
    on_gpu = kind.device != "cpu"
    with _dali_errors():
        pipe = dali.Pipeline(
            batch_size=1,
            num_threads=kind.num_threads,
            device_id=_device_id(kind.device) if on_gpu else None,
            prefetch_queue_depth=1,  # one window ahead: scheduled as soon as the one before is copied
            exec_dynamic=True,  # `release` relies on it
            seed=0,
        )
        with pipe:
            affinity = {"affine": False} if on_gpu else {}  # many lanes must not share the first core
            video = fn.experimental.inputs.video(
                name="video",
                device="mixed" if on_gpu else "cpu",
                sequence_length=kind.window,
                last_sequence_policy="partial",
                **affinity,
            )
            # The triangle filter, widened when shrinking: the same as kernels/yuv.py.
            frames = fn.resize(
                video,
                size=fn.external_source(name="size"),
                interp_type=types.INTERP_LINEAR,
                antialias=True,
                dtype=types.FLOAT if kind.recolour else types.UINT8,
            )
            if kind.recolour:
                recoloured = fn.coord_transform(frames, M=fn.external_source(name="matrix"))
                frames = fn.cast(recoloured, dtype=types.UINT8)  # rounds and saturates
            pipe.set_outputs(frames, video.shape())
        pipe.build()
    return pipe


@contextmanager
def _dali_errors(lane: Lane | None = None) -> Iterator[None]:
    """Turn what DALI raises into ``VideoError`` and mark the lane as unfit: an error ends DALI's pipelines."""
    try:
        yield
    except _DALI_ERRORS as error:
        if lane is not None:
            lane.healthy = False
        raise VideoError("decode", f"DALI: {first_sentence(str(error))}") from error


def first_sentence(message: str) -> str:
    """Return what DALI says went wrong, without its account of where: operators, tracebacks, C++ files."""
    text = message.partition("encountered:")[2] or message
    lines = [line.strip() for line in text.splitlines()]
    noise = ("Critical error", "Current pipeline object", "C++ context", "Error in ", "which was used", "Error when")
    lines = [line for line in lines if line and not line.startswith(noise)] or ["its pipeline failed"]
    words = re.sub(r'^Assert on ".*?" failed:?\s*', "", lines[0]) or lines[0]
    words = re.sub(r"^\[[^\]]*:\d+\]\s*", "", words)
    return re.split(r"(?<=\w)\.\s", words)[0].rstrip(".") or "its pipeline failed"
