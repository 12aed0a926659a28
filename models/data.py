"""Datasets of clips for torch: random clips, uniform clips, stacks of flow, segments.

All are map-style and share what ``video_clips.VideoClips`` does. ::

    dataset = ClipDataset("cache/", "residual", crop=(112, 112), split="1:train")
    sampler = ClipSampler(dataset)
    loader = torch.utils.data.DataLoader(dataset, sampler=sampler.batches(32), batch_size=None, num_workers=2)
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..pipeline.cache import Cache
from ..pipeline.errors import UsageError
from ..pipeline.numbers import whole_number
from .clip_batch import ClipFormat, arrays
from .frame_choice import (
    Frames,
    Short,
    clip_starts,
    frame_numbers,
    spread_stacks,
    stack_frames,
    stack_starts,
    strides,
)
from .label_sources import Labels, Split
from .randomness import uniform
from .video_clips import Integers, VideoClips

_MIDDLE = 0.5
_FLOW_CHANNELS = 2


class ClipDataset(VideoClips):
    """Random clips of consecutive frames, for training.

    Paper A, section 4.3: 16 consecutive frames, cropped at a random place, jittered along the temporal axis. Its
    flipping is for the training device.

    Parameters
    ----------
    cache, modalities, crop, split, labels, seed, skip_damaged
        As for ``VideoClips``. The crop's place is random.
    length
        Frames of a clip.
    stride
        Distance between them, or a range ``(low, high)`` to choose from for each clip, both included: the "frame-rate
        jittering" of paper D (section 3.4), which takes ``(5, 15)``. Of a range, only strides are chosen that the
        video is long enough for, if there are some.
    clips_per_video
        Each video is divided into so many equal parts, with a clip in each.
    short
        What a video shorter than the clip gets: ``"loop"`` plays it again, ``"pad"`` holds its last frame.
    jitter
        Whether a clip is at a random place in its part, each start equally likely; else it is in the middle of it.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        modalities: str | Sequence[str] = "residual",
        *,
        length: int = 16,
        stride: int | tuple[int, int] = 1,
        clips_per_video: int = 1,
        short: Short = "loop",
        jitter: bool = True,
        crop: tuple[int, int] | None = None,
        split: Split = None,
        labels: Labels = None,
        seed: int = 0,
        skip_damaged: bool = False,
    ) -> None:
        self.length = _check_length(length)
        self.stride = _check_stride(stride)
        self.short = _check_short(short)
        self.jitter = bool(jitter)
        super().__init__(
            cache,
            modalities,
            clips_per_video=clips_per_video,
            crop=crop,
            random_crop=True,
            random_frames=self.jitter or self.stride[0] < self.stride[1],
            split=split,
            labels=labels,
            seed=seed,
            skip_damaged=skip_damaged,
        )

    @property
    def _num_times(self) -> int:
        return self.length

    def _choose(self, epochs: Integers, samples: Integers, num_frames: Integers) -> tuple[Frames, dict[str, Frames]]:
        low, high = self.stride
        stride: ArrayLike = low
        if low < high:
            stride = strides(num_frames, self.length, low, high, uniform(self.seed, epochs, samples, "stride"))
        where = uniform(self.seed, epochs, samples, "start") if self.jitter else _MIDDLE
        span = (self.length - 1) * np.asarray(stride) + 1
        starts = clip_starts(num_frames, span, samples % self.clips_per_video, self.clips_per_video, where)
        numbers = frame_numbers(starts, num_frames, self.length, stride, self.short)
        return numbers, dict.fromkeys(self.modalities, numbers)


class UniformClips(VideoClips):
    """A fixed number of clips spread evenly over each video, whatever its length, for testing (paper A, section 4.3).

    The predictions of a video's samples, which have one ``"video"``, are to be averaged.

    Parameters
    ----------
    cache, modalities, split, labels, skip_damaged
        As for ``VideoClips``.
    length, stride, short
        As for ``ClipDataset``.
    clips_per_video
        Each is in the middle of one of so many equal parts of the video.
    crop
        At the centre of the frames.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        modalities: str | Sequence[str] = "residual",
        *,
        length: int = 16,
        stride: int = 1,
        clips_per_video: int = 10,
        short: Short = "loop",
        crop: tuple[int, int] | None = None,
        split: Split = None,
        labels: Labels = None,
        skip_damaged: bool = False,
    ) -> None:
        self.length = _check_length(length)
        self.stride = whole_number(stride, 1, None, "stride must be at least 1 frame")
        self.short = _check_short(short)
        super().__init__(
            cache,
            modalities,
            clips_per_video=clips_per_video,
            crop=crop,
            random_crop=False,
            random_frames=False,
            split=split,
            labels=labels,
            seed=0,
            skip_damaged=skip_damaged,
        )

    @property
    def _num_times(self) -> int:
        return self.length

    def _choose(self, epochs: Integers, samples: Integers, num_frames: Integers) -> tuple[Frames, dict[str, Frames]]:
        span = (self.length - 1) * self.stride + 1
        starts = clip_starts(num_frames, span, samples % self.clips_per_video, self.clips_per_video, _MIDDLE)
        numbers = frame_numbers(starts, num_frames, self.length, self.stride, self.short)
        return numbers, dict.fromkeys(self.modalities, numbers)


class FlowStacks(VideoClips):
    """Stacks of consecutive flow fields as channels, and frames of other modalities at their middles.

    Paper D, section 3.1: stacks of L = 10 horizontal and vertical flow fields, 2L = 20 channels, in the order x1, y1,
    x2, y2, ... (Simonyan, Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos", NIPS 2014,
    equation 1). A sample's ``"flow"`` is ``(num_stacks, h, w, 2 * length)``, other modalities are
    ``(num_stacks, h, w, C)``.

    Parameters
    ----------
    cache, crop, split, labels, seed, skip_damaged
        As for ``VideoClips``. The crop's place is random if ``random`` is set, else the centre.
    modalities
        Those beside flow, such as ``"rgb"`` for two streams; each shows frame ``start + length // 2`` of a stack.
    length
        Flow fields of a stack, L.
    num_stacks
        Stacks of a sample: 1 to train the motion stream, 5 and then 11 to train the network of paper D (section 3.4,
        table 2), 25 to test it.
    stride
        Frames from one stack's start to the next one's, or a range to choose from, both included. Paper D takes
        ``(5, 15)``, and then ``(1, 15)``. It is reduced for a video that is too short; one that is too short even for
        1 is padded at both ends with its first and last frames (section 3.3).
    random
        Whether the first stack begins at a random place, each equally likely. Otherwise stacks are spread evenly over
        the video, as for testing (section 3.4), and ``stride`` has no say.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        modalities: str | Sequence[str] = (),
        *,
        length: int = 10,
        num_stacks: int = 1,
        stride: int | tuple[int, int] = (5, 15),
        random: bool = True,
        crop: tuple[int, int] | None = None,
        split: Split = None,
        labels: Labels = None,
        seed: int = 0,
        skip_damaged: bool = False,
    ) -> None:
        self.length = _check_length(length)
        self.num_stacks = whole_number(num_stacks, 1, None, "num_stacks must be at least 1")
        self.stride = _check_stride(stride)
        self.random = bool(random)
        beside = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        super().__init__(
            cache,
            ("flow", *beside),
            clips_per_video=1,
            crop=crop,
            random_crop=self.random,
            random_frames=self.random,
            split=split,
            labels=labels,
            seed=seed,
            skip_damaged=skip_damaged,
        )

    @property
    def _num_times(self) -> int:
        return self.num_stacks

    def _choose(self, epochs: Integers, samples: Integers, num_frames: Integers) -> tuple[Frames, dict[str, Frames]]:
        if self.random:
            low, high = self.stride
            places = np.maximum(num_frames - self.length + 1, 1)
            where = uniform(self.seed, epochs, samples, "stride")
            stride = strides(places, self.num_stacks, low, high, where)
            where = uniform(self.seed, epochs, samples, "start")
            starts = stack_starts(num_frames, self.length, self.num_stacks, stride, where)
        else:
            starts = spread_stacks(num_frames, self.length, self.num_stacks)
        frames = stack_frames(starts, num_frames, self.length)
        numbers = np.ascontiguousarray(frames[:, :, self.length // 2])
        return numbers, {**dict.fromkeys(self.modalities, numbers), "flow": frames.reshape(len(frames), -1)}

    def _clip_shape(self, modality: str, height: int, width: int, channels: int) -> tuple[int, int, int, int]:
        return self.num_stacks, height, width, channels * (self.length if modality == "flow" else 1)

    def _read_clips(
        self,
        modality: str,
        positions: Integers,
        frames: Frames,
        crop: tuple[int, int] | Integers | None,
        out: NDArray[Any],
        num_threads: int | None,
    ) -> None:
        if modality != "flow":
            super()._read_clips(modality, positions, frames, crop, out, num_threads)
            return
        count, num_stacks, height, width, _ = out.shape
        shape = (num_stacks * self.length, height, width, _FLOW_CHANNELS)
        fields = arrays({modality: ClipFormat(shape=shape, dtype=out.dtype)}, count)[modality]
        try:
            super()._read_clips(modality, positions, frames, crop, fields, num_threads)
        finally:  # where some clips are damaged, the others have been read
            # A pixel's x and y stay together: moved as one number of twice the size they take a ninth of the time.
            pair = np.dtype(f"u{_FLOW_CHANNELS * out.dtype.itemsize}")
            stacks = fields.view(pair).reshape(count, num_stacks, self.length, height * width)
            out.view(pair).reshape(count, num_stacks, height * width, self.length)[:] = stacks.swapaxes(2, 3)


class Segments(VideoClips):
    """A snippet from each of K equal segments of a video (Wang et al., "Temporal Segment Networks", ECCV 2016).

    Paper C trains with them (section 4.2, table 5). A sample is ``(num_segments * length, h, w, C)``, one segment after
    the other.

    Parameters
    ----------
    cache, modalities, crop, split, labels, seed, skip_damaged
        As for ``VideoClips``. The crop's place is random if ``random`` is set, else the centre.
    num_segments
        K; 3 in training, 25 in testing.
    length
        Consecutive frames of a snippet.
    short
        As for ``ClipDataset``, of a video shorter than a snippet. Snippets of a video with fewer frames than all of
        them overlap.
    random
        Whether a snippet is at a random place in its segment, for training, or in the middle, for testing.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        modalities: str | Sequence[str] = "rgb",
        *,
        num_segments: int = 3,
        length: int = 1,
        short: Short = "loop",
        random: bool = True,
        crop: tuple[int, int] | None = None,
        split: Split = None,
        labels: Labels = None,
        seed: int = 0,
        skip_damaged: bool = False,
    ) -> None:
        self.num_segments = whole_number(num_segments, 1, None, "num_segments must be at least 1")
        self.length = _check_length(length)
        self.short = _check_short(short)
        self.random = bool(random)
        super().__init__(
            cache,
            modalities,
            clips_per_video=1,
            crop=crop,
            random_crop=self.random,
            random_frames=self.random,
            split=split,
            labels=labels,
            seed=seed,
            skip_damaged=skip_damaged,
        )

    @property
    def _num_times(self) -> int:
        return self.num_segments * self.length

    def _choose(self, epochs: Integers, samples: Integers, num_frames: Integers) -> tuple[Frames, dict[str, Frames]]:
        segments = np.arange(self.num_segments)
        where: ArrayLike = _MIDDLE
        if self.random:
            where = uniform(self.seed, epochs[:, None], samples[:, None], "start", segments)
        starts = clip_starts(num_frames[:, None], self.length, segments, self.num_segments, where)
        numbers = frame_numbers(starts, num_frames[:, None], self.length, 1, self.short).reshape(len(samples), -1)
        return numbers, dict.fromkeys(self.modalities, numbers)


def _check_length(length: object) -> int:
    return whole_number(length, 1, None, "length must be at least 1 frame")


def _check_stride(stride: object) -> tuple[int, int]:
    """Return the least and the greatest stride."""
    try:
        low, high = (operator.index(each) for each in stride) if isinstance(stride, (tuple, list)) else (stride, stride)
        low, high = (whole_number(each, 1, None, "stride must be at least 1 frame") for each in (low, high))
    except (TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        low, high = 1, 0
    if low > high:
        raise UsageError(f"stride must be a whole number of frames, or a range (low, high) of them, got {stride!r}")
    return low, high


def _check_short(short: object) -> Short:
    if short == "loop":
        return "loop"
    if short == "pad":
        return "pad"
    raise UsageError(f"short must be 'loop' (play a short video again) or 'pad' (hold its last frame), got {short!r}")
