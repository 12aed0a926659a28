"""Which frames of a video a network sees: pure functions from video lengths and random numbers to frame numbers.

All are vectorised over a batch and know nothing of caches. A *span* is how many frames a clip reaches over, from its
first frame to its last; the *starts* of a video are the frames at which a clip of that span can begin.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Short = Literal["loop", "pad"]

Frames = NDArray[np.int64]


def clip_starts(num_frames: ArrayLike, span: ArrayLike, part: ArrayLike, parts: int, where: ArrayLike) -> Frames:
    """Choose a start in one of the equal parts that the starts of each video are divided into.

    ``parts=1`` with a random ``where`` is jittering along the temporal axis (paper A, section 4.3): every start is
    equally likely. Several parts with a random ``where`` are the segments of TSN in training, and with 0.5, the middle
    of each part, those of its testing (Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1) and the
    uniform clips of paper A (section 4.3, "regardless of the video length"). Over all parts, every start is equally
    likely too: parts end between frames, not at them, so no remainder at the video's end is left out.

    Parameters
    ----------
    num_frames
        Length of each video, 1 or more.
    span
        Frames from the clip's first to its last, both included. A video that is shorter has one start, its frame 0.
    part
        Which part, 0 to ``parts - 1``; with fewer starts than parts, some parts share a start.
    where
        Place in the part, in [0, 1).

    Returns
    -------
    ndarray
        Of the broadcast shape of all but ``parts``; never beyond the last start, and in the order of the parts.
    """
    starts = np.maximum(np.asarray(num_frames, np.int64) - np.asarray(span, np.int64) + 1, 1)
    part = np.asarray(part, np.int64)
    place = ((part + np.asarray(where, np.float64)) * starts / parts).astype(np.int64)
    last = ((part + 1) * starts - 1) // parts
    return np.asarray(np.minimum(place, last))  # part + where may have been rounded up


def frame_numbers(starts: ArrayLike, num_frames: ArrayLike, length: int, stride: ArrayLike, short: Short) -> Frames:
    """Number the frames of clips: ``start``, ``start + stride``, ...; what lies beyond a video's end is made up for.

    Parameters
    ----------
    starts, num_frames, stride
        ``(N,)``, or what broadcasts to it.
    short
        ``"loop"`` goes on at the video's first frame, as if it was played again and again. ``"pad"`` holds the last
        frame.

    Returns
    -------
    ndarray
        ``(N, length)``, each from 0 to ``num_frames - 1``.
    """
    starts, num_frames, stride = (np.asarray(each, np.int64)[..., None] for each in (starts, num_frames, stride))
    frames = starts + np.arange(length) * stride
    return np.asarray(frames % num_frames if short == "loop" else np.minimum(frames, num_frames - 1))


def strides(num_frames: ArrayLike, length: int, low: int, high: int, where: ArrayLike) -> Frames:
    """Choose a stride for each clip of ``length`` items, all strides that fit the video being equally likely.

    This is the "frame-rate jittering" of paper D (section 3.4). As there (section 3.3), the stride is reduced for a
    video that is too short; here not below ``low``.

    Parameters
    ----------
    low, high
        The least and the greatest stride, both included, from 1.
    where
        Random, in [0, 1).
    """
    fitting = (np.asarray(num_frames, np.int64) - 1) // max(length - 1, 1)
    choices = np.clip(fitting, low, high) - low + 1
    return np.asarray(low + (np.asarray(where, np.float64) * choices).astype(np.int64))


def stack_starts(num_frames: ArrayLike, length: int, num_stacks: int, stride: ArrayLike, where: ArrayLike) -> Frames:
    """Choose where stacks of ``length`` consecutive frames begin, ``stride`` frames apart (paper D, sections 3.3, 3.4).

    For a video that is too short the stride is reduced, down to 1; if it is still too short, the stacks lie
    symmetrically around its middle and reach beyond both of its ends, to be padded there.

    Parameters
    ----------
    num_frames, stride
        ``(N,)``.
    where
        Place of the first stack among the starts, in [0, 1).

    Returns
    -------
    ndarray
        ``(N, num_stacks)``; below 0 only where a video is too short.
    """
    frames, step = (np.asarray(each, np.int64)[..., None] for each in (num_frames, stride))
    step = np.clip((frames - length) // max(num_stacks - 1, 1), 1, step)
    room = frames - length - step * (num_stacks - 1)
    random = (np.asarray(where, np.float64)[..., None] * (room + 1)).astype(np.int64)
    return np.asarray(np.where(room < 0, room // 2, random) + np.arange(num_stacks) * step)


def spread_stacks(num_frames: ArrayLike, length: int, num_stacks: int) -> Frames:
    """Spread stacks of ``length`` consecutive frames evenly over a video: ``(N, num_stacks)`` starts.

    "25 frames with equal temporal spacing" of two-stream testing (paper D, section 3.4), each in the middle of one of
    as many equal parts. A stack longer than the video lies around its middle, as in ``stack_starts``.
    """
    frames = np.asarray(num_frames, np.int64)[..., None]
    inside = clip_starts(frames, length, np.arange(num_stacks), num_stacks, 0.5)
    return np.where(frames < length, (frames - length) // 2, inside)


def stack_frames(starts: Frames, num_frames: ArrayLike, length: int) -> Frames:
    """Number the frames of stacks; beyond the video's ends, the first and the last frame are held.

    Parameters
    ----------
    starts
        ``(N, num_stacks)``.
    num_frames
        ``(N,)``.

    Returns
    -------
    ndarray
        ``(N, num_stacks, length)``.
    """
    frames = starts[..., None] + np.arange(length)
    return np.asarray(np.clip(frames, 0, np.asarray(num_frames)[:, None, None] - 1))
