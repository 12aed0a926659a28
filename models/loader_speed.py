"""How fast random clips come out of a cache, by codec, batch size and who reads them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.cache import Cache
from ..pipeline.cache.recode import recode
from ..pipeline.errors import UsageError
from .torch_extra import import_torch

_TRAINING = 3  # a step computes the network, and the gradients of its activations and of its weights
_OPERATIONS = 2  # a multiplication and an addition
_ENDLESS = 10**9  # batches, more than anybody waits for
_WARM_UP = 2  # batches that each worker has ready when it starts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingSpeed:
    """What was measured once.

    Parameters
    ----------
    codec
        Of the cache, or of the copy of a part of it, that was read.
    readers
        ``threads`` of this process, by ``Cache.read_frames``; or ``workers``, processes of torch's ``DataLoader``.
    count
        How many.
    clip_bytes
        Of a clip as it is delivered.
    """

    codec: str
    batch_size: int
    readers: str
    count: int
    clips_per_second: float
    clip_bytes: int

    @property
    def bytes_per_second(self) -> float:
        return self.clips_per_second * self.clip_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What training takes: ``multiply_adds`` forward for a clip of ``length`` frames, ``size`` squared."""

    name: str
    length: int
    size: int
    multiply_adds: float

    def training_rate(self, clips_per_second: float) -> float:
        """Operations a second of a machine that trains as fast as clips come."""
        return _TRAINING * _OPERATIONS * self.multiply_adds * clips_per_second


NETWORKS = (
    Network(name="resnet18-3d", length=16, size=112, multiply_adds=8.3e9),  # counted layer by layer
    Network(name="p3d-resnet50", length=32, size=112, multiply_adds=28e9),  # Chen, Hsiao, Ho, table 2
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingPlan:
    """What to measure.

    Parameters
    ----------
    crop
        ``(height, width)``, at random places; None for whole frames.
    threads, workers
        How many threads, and how many worker processes, one measurement each.
    codecs
        Others than the cache's own are measured on a copy of the sample in a temporary folder.
    seconds
        That a measurement takes at the least.
    sample_bytes
        Of decoded frames, whole videos chosen at random, from which all clips are read. They are read once before, so
        what is measured is the page cache, not the disk.

    Raises
    ------
    UsageError
        A number is not positive, or a list is empty.
    """

    modality: str
    length: int = 16
    crop: tuple[int, int] | None = None
    batch_sizes: Sequence[int] = (32,)
    threads: Sequence[int] = (1,)
    workers: Sequence[int] = ()
    codecs: Sequence[str] = ("lz4",)
    seconds: float = 1.0
    sample_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name in ("length", "seconds", "sample_bytes"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("batch_sizes", "threads", "workers"):
            if any(number < 1 for number in getattr(self, name)):
                raise UsageError(f"{name} must be positive, got {', '.join(map(str, getattr(self, name)))}")
        if not self.batch_sizes or not self.codecs or not (self.threads or self.workers):
            raise UsageError("nothing to measure: name a batch size, a codec, and threads or workers")


def measure_loading(cache: Cache, plan: LoadingPlan) -> Iterator[LoadingSpeed]:
    """Measure all combinations, one after the other.

    Raises
    ------
    UsageError
        The cache has no clip of this length of the modality, or the crop is larger than its frames.
    MissingExtraError
        Workers are asked for and torch is not installed.
    CacheError
        The cache is damaged.
    """
    own = codec_of(cache, plan.modality)
    positions = _sample(cache, plan)
    with ExitStack() as stack:
        for codec in plan.codecs:
            if codec == own:
                source, chosen = cache, positions
            else:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="vidprep-bench-")))
                ids = list(cache.videos)
                source = recode(cache, (ids[position] for position in positions), plan.modality, folder, codec)
                chosen = np.arange(len(source))
            yield from _of_codec(source, chosen, plan, codec)


def codec_of(cache: Cache, modality: str) -> str | None:
    """Return the codec of a modality; None if no video has it."""
    for video in cache.videos.values():
        if modality in video.modalities:
            return video.modalities[modality].codec  # one for all: it is part of the config
    return None


def _sample(cache: Cache, plan: LoadingPlan) -> NDArray[np.int64]:
    counts = cache.frame_counts(plan.modality)
    sizes = cache.frame_sizes(plan.modality)
    usable = np.flatnonzero(counts >= plan.length)
    if plan.crop is not None:
        usable = usable[(sizes[usable] >= plan.crop).all(axis=1)]
    else:
        usable = usable[(sizes[usable] == sizes[usable[:1]]).all(axis=1)]
    if not len(usable):
        wanted = "" if plan.crop is None else f" and {plan.crop[1]}x{plan.crop[0]} pixels"
        raise UsageError(
            f"{cache.path} has no video with {plan.length} frames of {plan.modality}{wanted}: ask for shorter or "
            "smaller clips"
        )
    order = np.random.default_rng(0).permutation(usable)
    form = cache.frame_format(plan.modality)
    frame_bytes = sizes[order].prod(axis=1, dtype=np.int64) * form.channels * form.dtype.itemsize
    before = np.cumsum(counts[order] * frame_bytes) - counts[order] * frame_bytes
    chosen: NDArray[np.int64] = np.sort(order[before < plan.sample_bytes])
    return chosen


def _of_codec(cache: Cache, positions: NDArray[np.int64], plan: LoadingPlan, codec: str) -> Iterator[LoadingSpeed]:
    ids = list(cache.videos)
    for position in positions:
        cache.read(ids[position], plan.modality)  # into the page cache
    for batch_size in plan.batch_sizes:
        clips = _Clips(cache, positions, plan, batch_size)
        clip_bytes = clips.read(0, 1).nbytes // batch_size
        for readers, counts, measure in (
            ("threads", plan.threads, _rate_of_threads),
            ("workers", plan.workers, _rate_of_workers),
        ):
            for count in counts:
                yield LoadingSpeed(
                    codec=codec,
                    batch_size=batch_size,
                    readers=readers,
                    count=count,
                    clips_per_second=measure(clips, count, plan.seconds) * batch_size,
                    clip_bytes=clip_bytes,
                )


class _Clips:
    """Batches of random clips, numbered; a dataset to torch."""

    def __init__(self, cache: Cache, positions: NDArray[np.int64], plan: LoadingPlan, batch_size: int) -> None:
        self._cache, self._positions, self._plan, self._batch_size = cache, positions, plan, batch_size
        self._latest = cache.frame_counts(plan.modality)[positions] - plan.length
        self._sizes = cache.frame_sizes(plan.modality)[positions]

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, number: int) -> NDArray[Any]:
        return self.read(number, 1)

    def read(self, number: int, num_threads: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        plan, random = self._plan, np.random.default_rng(number)
        chosen = random.integers(len(self._positions), size=self._batch_size)
        frames = random.integers(self._latest[chosen] + 1)[:, None] + np.arange(plan.length)
        boxes = None
        if plan.crop is not None:
            corners = random.integers(self._sizes[chosen] - plan.crop + 1)
            boxes = np.concatenate((corners, np.broadcast_to(plan.crop, corners.shape)), axis=1)
        return self._cache.read_frames(
            plan.modality, self._positions[chosen], frames, boxes, out, num_threads=num_threads
        )


def _rate_of_threads(clips: _Clips, num_threads: int, seconds: float) -> float:
    out = clips.read(0, num_threads)
    numbers = itertools.count(1)
    return _rate(lambda: clips.read(next(numbers), num_threads, out), seconds)


def _rate_of_workers(clips: _Clips, num_workers: int, seconds: float) -> float:
    data = import_torch("worker processes").utils.data
    batches = iter(data.DataLoader(clips, batch_size=None, shuffle=False, num_workers=num_workers))
    for _ in range(_WARM_UP * num_workers):
        next(batches)
    return _rate(lambda: next(batches), seconds)


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second."""
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        call()
        count += 1
    return count / elapsed
