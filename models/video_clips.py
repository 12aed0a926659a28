"""What all datasets have in common: from keys to a batch of clips, a single read for each modality."""

from __future__ import annotations

import logging
import operator
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.cache import Cache, DamagedClipsError
from ..pipeline.cache.clip_request import writable
from ..pipeline.cache.lazy import lazy
from ..pipeline.errors import CacheError, UsageError
from ..pipeline.numbers import whole_number
from .clip_batch import ClipBatch, ClipFormat, arrays, shared_tensors, to_samples, to_tensors
from .frame_choice import Frames
from .frame_crop import check_sizes, crop_size, random_boxes
from .label_sources import Labels, Split
from .randomness import integers
from .samplers import Key, check_seed
from .selection import Selection, select_videos
from .torch_extra import in_loader_worker

_log = logging.getLogger(__name__)

Integers = NDArray[np.int64]

_STAND_INS = 32  # tried for a damaged clip; so many damaged in a row are no accident


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedChunk:
    """A chunk that clips could not be read from."""

    video: str
    modality: str
    shard: int
    chunk: int
    reason: str


class VideoClips(ABC):
    """A map-style dataset of torch over the clips of a cache's videos.

    Sample ``i`` is of video ``i // clips_per_video`` of the selection. Everything random about it is a function of
    seed, epoch and ``i``, whatever process makes it. It is asked for by ``i``, which is epoch 0, or by ``(epoch, i)``,
    as ``ClipSampler`` gives; by a list of these, a whole batch comes out. May be pickled, forked, and used by threads.

    Parameters
    ----------
    cache
        A cache, or its folder.
    modalities
        Their clips show the same frames.
    clips_per_video
        Samples of each video.
    crop
        ``(height, width)`` to cut out of the frames, None for whole frames.
    random_crop
        Whether the crop's place is random, the same for all modalities; otherwise it is the centre.
    random_frames
        Whether the frames are.
    split, labels
        Which videos, and their classes; see ``select_videos``.
    seed
        0 to 2**64 - 1.
    skip_damaged
        Put another sample of the same epoch in the place of one that is damaged, instead of raising. Its keys
        ``"index"``, ``"video"`` and ``"label"`` are that one's, and ``"replaced"`` is true. The same one stands in
        whenever the epoch is made again. A warning is logged for each damaged video.

    Raises
    ------
    UsageError
        If no video is left, the crop does not fit the frames, frames differ in size where they must not, or a number is
        out of range.
    CacheError
        If there is no such cache.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        modalities: str | Sequence[str],
        *,
        clips_per_video: int,
        crop: tuple[int, int] | None,
        random_crop: bool,
        random_frames: bool,
        split: Split,
        labels: Labels,
        seed: int,
        skip_damaged: bool,
    ) -> None:
        self.cache = cache if isinstance(cache, Cache) else Cache(cache)
        self.modalities = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise UsageError(f"modalities must be one name, or several different ones, got {modalities!r}")
        self.clips_per_video = whole_number(clips_per_video, 1, None, "clips_per_video must be at least 1")
        self.crop = crop_size(crop)
        self.seed = check_seed(seed)
        self.skip_damaged = bool(skip_damaged)
        self.selection: Selection = select_videos(self.cache, self.modalities, split=split, labels=labels)
        self._random_crop = random_crop
        self._varies = random_frames or (random_crop and crop is not None)
        self._damage: Counter[DamagedChunk] = Counter()
        self._warned_of_indices = False
        check_sizes(self._frame_sizes, self.crop, self._video_id)

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self.selection) * self.clips_per_video

    def __getitem__(self, key: int | Key | list[int | Key]) -> dict[str, Any]:
        """Return the sample of a key, or of a list of keys a batch, as the dicts of ``to_tensors``.

        Raises
        ------
        IndexError
            If there is no such sample.
        UsageError
            If it is no key.
        DamagedClipsError
            If it is damaged, and ``skip_damaged`` is not set (or too much is). In a worker of a DataLoader, a plain
            ``CacheError`` of the same text.
        CacheError
            If the cache's files are gone.
        MissingExtraError
            If torch is not installed.
        """
        if not isinstance(key, list):
            batch = self.read([key])
            return to_samples(batch, self.video_ids(batch))[0]
        self._warn_of_indices(key)
        if not in_loader_worker():
            batch = self.read(key)
            return to_tensors(batch, self.video_ids(batch))
        tensors = shared_tensors(self.formats, len(key))
        batch = self.read(key, out=tensors)
        return to_tensors(batch, self.video_ids(batch), tensors)

    def __getitems__(self, keys: list[int | Key]) -> list[dict[str, Any]]:
        """Return samples, for torch's DataLoader: they are read at once, which ``__getitem__`` of each is not."""
        self._warn_of_indices(keys)
        batch = self.read(keys)
        return to_samples(batch, self.video_ids(batch))

    def read(
        self, keys: Sequence[int | Key], out: Mapping[str, Any] | None = None, *, num_threads: int | None = None
    ) -> ClipBatch:
        """Read the clips of keys.

        Parameters
        ----------
        out
            By modality, C-contiguous arrays or CPU tensors ``(N, *shape)`` of its format in ``formats``, to be
            filled. New arrays by default.
        num_threads
            Threads that read; all cores by default, one in a worker of torch's DataLoader.

        Raises
        ------
        As ``__getitem__``; no torch is needed.
        """
        epochs, asked = self._parse(keys)
        if num_threads is None and in_loader_worker():
            num_threads = 1  # a worker has a core to itself, more or less
        frames = self._arrays(len(asked), out)
        samples, numbers = asked.copy(), np.empty((len(asked), self._num_times), np.int64)
        waiting = np.arange(len(asked))
        for attempt in range(1, _STAND_INS + 2):
            numbers[waiting], damaged, error = self._read(waiting, epochs, samples, frames, num_threads)
            if error is None:
                break
            if not self.skip_damaged or attempt > _STAND_INS:
                # torch hands an error of a worker on with its class only if that takes one argument
                raise CacheError(str(error)) if in_loader_worker() else error
            waiting = damaged
            samples[waiting] = integers(self.seed, epochs[waiting], asked[waiting], "stand-in", len(self), draw=attempt)
        videos = samples // self.clips_per_video
        return ClipBatch(
            frames=frames,
            labels=self.selection.labels[videos].astype(np.int64),
            samples=samples,
            epochs=epochs,
            positions=self.selection.positions[videos].astype(np.int64),
            numbers=numbers,
            replaced=samples != asked,
        )

    @property
    def classes(self) -> dict[str, int]:
        """Index of each class."""
        return self.selection.classes

    @property
    def num_classes(self) -> int:
        """One more than the highest index of a class."""
        return max(self.selection.classes.values(), default=-1) + 1

    @lazy
    def formats(self) -> dict[str, ClipFormat]:
        """Shape and dtype of a clip, by modality."""
        formats = {}
        for modality in self.modalities:
            stored = self.cache.frame_format(modality)
            height, width = self.crop or self._frame_sizes[modality][0].tolist()
            shape = self._clip_shape(modality, height, width, stored.channels)
            formats[modality] = ClipFormat(shape=shape, dtype=stored.dtype)
        return formats

    @property
    def damage(self) -> dict[DamagedChunk, int]:
        """What was damaged, and how many clips each chunk has cost in this process; a loader's workers have their own.

        Across processes, count the samples whose ``"replaced"`` is true.
        """
        return dict(self._damage)

    @abstractmethod
    def _choose(self, epochs: Integers, samples: Integers, num_frames: Integers) -> tuple[Frames, dict[str, Frames]]:
        """Choose the frames of samples.

        Returns
        -------
        numbers
            ``(N, T)``, as ``ClipBatch.numbers``.
        frames
            ``(N, frames to read)`` by modality.
        """

    @property
    @abstractmethod
    def _num_times(self) -> int:
        """T of a clip."""

    def _clip_shape(self, modality: str, height: int, width: int, channels: int) -> tuple[int, int, int, int]:
        return self._num_times, height, width, channels

    def _read_clips(
        self,
        modality: str,
        positions: Integers,
        frames: Frames,
        crop: tuple[int, int] | Integers | None,
        out: NDArray[Any],
        num_threads: int | None,
    ) -> None:
        """Read frames into ``out``, of this modality's format."""
        self.cache.read_frames(modality, positions, frames, crop, out, num_threads=num_threads)

    def _read(
        self,
        rows: Integers,
        epochs: Integers,
        samples: Integers,
        out: dict[str, NDArray[Any]],
        num_threads: int | None,
    ) -> tuple[Frames, Integers, DamagedClipsError | None]:
        """Read the samples at ``rows`` of a batch into these rows of ``out``.

        Returns
        -------
        numbers
            Of their frames.
        damaged
            Which rows are damaged.
        error
            Of the first damaged modality.
        """
        epochs, samples = epochs[rows], samples[rows]
        videos = samples // self.clips_per_video
        positions = self.selection.positions[videos].astype(np.int64)
        numbers, frames = self._choose(epochs, samples, self.selection.num_frames[videos].astype(np.int64))
        crop: tuple[int, int] | Integers | None = self.crop
        if self.crop is not None and self._random_crop:
            sizes = self._frame_sizes[self.modalities[0]][videos]
            crop = random_boxes(self.seed, epochs, samples, sizes, self.crop)
        damaged: set[int] = set()
        error = None
        for modality, whole in out.items():
            target = whole if len(rows) == len(whole) else np.empty((len(rows), *whole.shape[1:]), whole.dtype)
            try:
                self._read_clips(modality, positions, frames[modality], crop, target, num_threads)
            except DamagedClipsError as found:
                self._record(modality, found)
                error = error or found
                damaged.update(each.clip for each in found.damage)
            if target is not whole:
                whole[rows] = target
        return numbers, rows[sorted(damaged)], error

    def _parse(self, keys: Sequence[int | Key]) -> tuple[Integers, Integers]:
        """Return epochs and samples of keys."""
        try:
            pairs = [key if isinstance(key, tuple) else (0, key) for key in keys]
            array = np.array([(operator.index(epoch), operator.index(sample)) for epoch, sample in pairs], np.int64)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"a key is the number of a sample, or (epoch, sample) as ClipSampler gives, got {_shown(keys)}"
            ) from None
        if not array.size:
            raise UsageError("there are no keys: ask for at least one sample")
        epochs, samples = array.T
        if epochs.min() < 0:
            raise UsageError(f"an epoch is a number from 0, got {epochs.min()}")
        if (wrong := (samples < 0) | (samples >= len(self))).any():
            raise IndexError(f"there is no sample {samples[wrong][0]}: this dataset has {len(self):,}, from 0")
        return epochs, samples

    def _arrays(self, count: int, out: Mapping[str, Any] | None) -> dict[str, NDArray[Any]]:
        if out is None:
            return arrays(self.formats, count)
        if set(out) != set(self.modalities):
            raise UsageError(f"out must have the keys {', '.join(self.modalities)}, got {', '.join(out) or 'none'}")
        return {name: writable(out[name], (count, *each.shape), each.dtype) for name, each in self.formats.items()}

    def _record(self, modality: str, error: DamagedClipsError) -> None:
        known = {chunk.video for chunk in self._damage}
        for each in error.damage:
            chunk = DamagedChunk(
                video=each.video, modality=modality, shard=each.shard, chunk=each.chunk, reason=each.reason
            )
            self._damage[chunk] += 1
            if self.skip_damaged and each.video not in known:
                known.add(each.video)
                _log.warning(
                    "chunk %d of %s of %r in shard %d is damaged (%s): other samples stand in; mend it with "
                    "`vidprep verify %s --repair`",
                    each.chunk, modality, each.video, each.shard, each.reason, self.cache.path,
                )  # fmt: skip

    def _warn_of_indices(self, keys: Sequence[Any]) -> None:
        if self._varies and not self._warned_of_indices and keys and not isinstance(keys[0], tuple):
            self._warned_of_indices = True
            _log.warning(
                "samples are asked for by plain numbers, so every epoch has the same clips and crops: give the "
                "DataLoader sampler=ClipSampler(dataset)"
            )

    @lazy
    def _frame_sizes(self) -> dict[str, NDArray[np.int32]]:
        """Height and width of the selected videos' frames, ``(V, 2)`` by modality."""
        return {name: self.cache.frame_sizes(name)[self.selection.positions] for name in self.modalities}

    def _video_id(self, video: int) -> str:
        return self.cache.video_ids([int(self.selection.positions[video])])[0]

    def video_ids(self, batch: ClipBatch) -> list[str]:
        return self.cache.video_ids(batch.positions.tolist())

    def __getstate__(self) -> dict[str, Any]:
        made_again = ("formats", "_frame_sizes")
        return {name: value for name, value in self.__dict__.items() if name not in made_again}


def _shown(keys: object) -> str:
    text = repr(keys)
    return text if len(text) <= 80 else f"{text[:80]}..."
