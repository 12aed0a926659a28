"""What a batch asks for, checked at once: every error a caller can make is found here, before anything is read."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..numbers import whole_number
from .index_table import HEIGHT, NUM_FRAMES, WIDTH, IndexTable

Crop = tuple[int, int] | Sequence[tuple[int, int, int, int]] | NDArray[Any] | None
"""Whole frames; (h, w) at the centre of each clip's frames; or a box (y, x, h, w) for each clip, all of one size."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """Clips that exist.

    Parameters
    ----------
    rows
        ``(N,)``, the row of the index that describes each clip's dataset.
    layouts
        ``(N, 6)``, these rows of ``IndexTable.layouts``.
    frames
        ``(N, L)``, frames of each clip, in any order.
    corners
        ``(N, 2)``, top and left of each clip's box, which lies inside the frame.
    shape, dtype
        Of the result: ``(N, L, h, w, C)``, as stored.
    """

    modality: str
    positions: Integers
    rows: Integers
    layouts: Integers
    frames: Integers
    corners: Integers
    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[np.generic]

    @property
    def num_bytes(self) -> int:
        """Bytes of the result."""
        return math.prod(self.shape) * self.dtype.itemsize


def check_request(index: IndexTable, modality: str, positions: Any, frames: Any, crop: Crop) -> ClipRequest:
    """The request behind the arguments of ``Cache.read_frames``.

    Raises
    ------
    UsageError
        An argument is of the wrong kind, or asks for what does not exist.
    """
    positions = integers(positions, "positions", "(clips,)", 1)
    frames = integers(frames, "frames", "(clips, length)", 2)
    if len(positions) != len(frames):
        raise UsageError(f"positions name {len(positions)} videos and frames {len(frames)}: give as many of each")
    if frames.size == 0:
        raise UsageError(f"frames of shape {frames.shape} ask for nothing: give at least one clip of one frame")
    if positions.min() < 0 or positions.max() >= len(index):
        wrong = positions[(positions < 0) | (positions >= len(index))][0]
        raise UsageError(f"position {wrong} is no video: this cache has the positions 0 to {len(index) - 1}")
    rows = index.dataset_rows(modality)[positions]
    if rows.min() < 0:
        raise UsageError(index.lacks(int(positions[rows.argmin()]), modality))
    layouts = index.layouts[rows]
    counts = layouts[:, NUM_FRAMES]
    if frames.min() < 0 or (frames.max(axis=1) >= counts).any():
        clip = int(((frames < 0) | (frames >= counts[:, None])).any(axis=1).argmax())
        raise UsageError(
            f"frames {frames[clip].min()} to {frames[clip].max()} of {index.id(int(positions[clip]))!r} do not all "
            f"exist: its {modality} has the frames 0 to {counts[clip] - 1}"
        )
    corners, size = _boxes(index, positions, layouts[:, HEIGHT : WIDTH + 1], crop)
    frame_format = index.frame_format(modality)
    return ClipRequest(
        modality=modality,
        positions=positions,
        rows=rows,
        layouts=layouts,
        frames=frames,
        corners=corners,
        shape=(len(frames), frames.shape[1], *size, frame_format.channels),
        dtype=frame_format.dtype,
    )


def named_clips(clips: Any) -> tuple[list[Any], list[Any]]:
    """Ids and first frames of (id, first frame) pairs.

    Raises
    ------
    UsageError
        They are no such pairs.
    """
    try:
        pairs = [(video, start) for video, start in clips]
    except (TypeError, ValueError):
        raise UsageError(f"clips must be pairs (video id, first frame), got {repr(clips)[:80]}") from None
    return [video for video, _ in pairs], [start for _, start in pairs]


def positive(value: Any, name: str, most: int = 1 << 62) -> int:
    """An argument as an int from 1 to ``most``.

    Raises
    ------
    UsageError
        It is something else.
    """
    number = whole_number(value, 1, None, f"{name} must be an integer of at least 1")
    if number > most:
        raise UsageError(f"{name} {number} is more than there can be, {most}, so give less")
    return number


def integers(values: Any, name: str, shape: str, ndim: int) -> Integers:
    """An argument as an int64 array of ``ndim`` dimensions.

    Raises
    ------
    UsageError
        It is something else: fractions, truth values, text, ragged lists.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):  # ragged lists
        array = np.asarray(None)
    listed = not hasattr(values, "dtype") and array.dtype.kind in "iu"
    mixed = listed and any(isinstance(value, (bool, np.bool_)) for value in np.asarray(values, object).flat)
    if (array.dtype.kind not in "iu" and array.size) or array.ndim != ndim or mixed:
        got = f"shape {array.shape} {array.dtype}" if array.ndim and array.dtype != object else repr(values)[:80]
        raise UsageError(f"{name} must be integers of shape {shape}, got {got}")
    return np.ascontiguousarray(array, np.int64)


def writable(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """``out`` as an array on the same memory.

    Raises
    ------
    UsageError
        It is no array or CPU tensor, does not fit, has gaps, or must not be written to.
    """
    torch = sys.modules.get("torch")
    array = out
    if torch is not None and isinstance(out, torch.Tensor):
        try:
            array = out.numpy()
        except (RuntimeError, TypeError) as error:  # on another device, or one that gradients flow through
            reason = str(error).partition("\n")[0]
            raise UsageError(f"out must be a NumPy array or a torch tensor in CPU memory ({reason})") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"out must be a NumPy array or a torch tensor in CPU memory, got {type(out).__name__}")
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        layout = "" if array.flags.c_contiguous else " with gaps"
        raise UsageError(f"out must be a C-contiguous {shape} {dtype} array, got {array.shape} {array.dtype}{layout}")
    if not array.flags.writeable:
        raise UsageError("out is read-only: give an array that may be written to")
    return array


def _boxes(index: IndexTable, positions: Integers, sizes: Integers, crop: Crop) -> tuple[Integers, tuple[int, int]]:
    """Corners of all boxes in frames of ``sizes``, and the size that the boxes share."""
    if crop is None:
        if (sizes != sizes[0]).any():
            other = int((sizes != sizes[0]).any(axis=1).argmax())
            raise UsageError(
                f"frames of {index.id(int(positions[0]))!r} are {_by(sizes[0])} and those of "
                f"{index.id(int(positions[other]))!r} {_by(sizes[other])} (height x width): give a crop to read them "
                "together"
            )
        return np.zeros((len(sizes), 2), np.int64), (int(sizes[0, 0]), int(sizes[0, 1]))
    boxes = _box_array(crop, len(sizes))
    size = boxes[0, 2:] if boxes.ndim == 2 else boxes
    if boxes.ndim == 2 and (boxes[:, 2:] != size).any():
        odd = boxes[(boxes[:, 2:] != size).any(axis=1).argmax(), 2:]
        raise UsageError(f"boxes of a batch must be of one size, got {_by(size)} and {_by(odd)} (height x width)")
    if size.min() < 1:
        raise UsageError(f"a crop of {_by(size)} is empty: height and width must be at least 1")
    corners = np.ascontiguousarray(boxes[:, :2]) if boxes.ndim == 2 else (sizes - size) // 2
    if (wrong := ((corners < 0) | (corners > sizes - size)).any(axis=1)).any():
        clip = int(wrong.argmax())
        place = f" at (y={corners[clip, 0]}, x={corners[clip, 1]})" if boxes.ndim == 2 else ""
        raise UsageError(
            f"a crop of {_by(size)}{place} is not inside the frames of {index.id(int(positions[clip]))!r}: they are "
            f"{_by(sizes[clip])} (height x width)"
        )
    return corners, (int(size[0]), int(size[1]))


def _box_array(crop: Crop, num_clips: int) -> Integers:
    try:
        ndim = np.ndim(crop)  # type: ignore[arg-type]
        boxes = integers(crop, "crop", "(2,)" if ndim == 1 else "(clips, 4)", 1 if ndim == 1 else 2)
        fits = boxes.shape in ((2,), (num_clips, 4))
    except (ValueError, TypeError):
        fits = False
    if not fits:
        got = f"shape {crop.shape} {crop.dtype}" if isinstance(crop, np.ndarray) else repr(crop)[:80]
        raise UsageError(
            f"crop must be None, integers (height, width), or integers (y, x, height, width) for each of the "
            f"{num_clips} clips, got {got}"
        )
    return boxes


def _by(size: Any) -> str:
    return f"{size[0]}x{size[1]}"
