"""Boxes cut out of clips, resized, flipped and normalised, from stored samples to channels-first input of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._backend import can_take_results, common_backend, is_cupy, share_memory
from ._checks import shown, whole
from .resized_crop_tables import CropTables

_SAMPLES = tuple(np.dtype(name) for name in ("uint8", "int8", "float16", "float32"))
_RESULTS = tuple(np.dtype(name) for name in ("float16", "float32"))
_MOST = 1 << 15  # pixels along a side of the result, so that 32 bits count all
_SLACK = 1e-3  # pixels that a box may reach beyond the frame, for rounding


def resized_crop(
    frames: Any,
    boxes: Any,
    size: tuple[int, int],
    *,
    flip: Any = None,
    scale: Any = 1.0,
    offset: Any = 0.0,
    dtype: Any = np.float32,
    out: Any = None,
) -> Any:
    """Cut a box out of each clip and resize it: ``scale * bilinear(frames) + offset``, in one pass.

    Row i of the result samples the row ``y + (i + 1/2) h / size[0] - 1/2`` of the frame, columns alike: pixels are
    squares, and their values are at their centres. Beyond the centres of the outermost pixels *of the frame* the image
    goes on as it is there; a box inside a frame sees the pixels around it. There is no smoothing beforehand, as in the
    papers: boxes of more than twice ``size`` leave pixels out.

    A box of ``size`` at whole pixels copies: then no two pixels are mixed. Each sample has the same bits on every
    device, however a batch is divided.

    Parameters
    ----------
    frames
        ``(N, T, H, W, C)`` uint8, int8, float16 or float32, NumPy or CuPy. NaN and infinity spread to what is mixed
        with them.
    boxes
        ``(N, 4)``: ``(y, x, h, w)`` of the box in each clip, in pixels, of any real type; y and x of its upper left
        corner, ``(0, 0, H, W)`` for the whole frame. In memory of the CPU, where they are checked and made into
        tables; CuPy arrays are fetched.
    size
        ``(h, w)`` of the result.
    flip
        ``(N,)`` bool, like ``boxes``: which clips are mirrored, left to right. None by default.
    scale, offset
        A number; ``(C,)``, one for each channel; or ``(2, C)``, first those of clips that are not flipped, then those
        of flipped ones, for whatever changes its sign in a mirror.
    dtype
        Of the result, float32 or float16. Arithmetic is in float32.
    out
        Where to write the result, C-contiguous; a new array by default.

    Returns
    -------
    array
        ``(N, C, T, h, w)`` of the kind of ``frames`` on the same device.

    Raises
    ------
    TypeError
        If ``frames`` is not a NumPy or CuPy array of these types, or ``dtype`` is another.
    ValueError
        If shapes do not fit, a box is empty, has NaN or reaches out of the frame, or scale or offset is not finite.
    """
    backend = common_backend(frames=frames)
    if frames.dtype not in _SAMPLES:
        raise TypeError(f"frames must be uint8, int8, float16 or float32, got {frames.dtype}")
    if frames.ndim != 5 or 0 in frames.shape:
        raise ValueError(f"frames must be (N, T, H, W, C), none of them 0, got shape {tuple(frames.shape)}")
    result_type = _result_type(dtype)
    clips, length, height, width, channels = frames.shape
    out_size = _checked_size(size)
    tables = CropTables.of(
        _checked_boxes(boxes, clips, (height, width)),
        _checked_flip(flip, clips),
        (height, width),
        out_size,
        _per_channel("scale", scale, channels),
        _per_channel("offset", offset, channels),
    )
    shape = (clips, channels, length, *out_size)
    if out is not None and not (can_take_results(out, frames) and out.shape == shape and out.dtype == result_type):
        raise ValueError(f"out must be a C-contiguous {shape} {result_type} array like frames, and writeable")
    if out is not None and share_memory(frames, out):
        frames = frames.copy()
    if backend == "cuda":
        from .cuda.resized_crop import resized_crop_cuda

        return resized_crop_cuda(frames, tables, out_size, result_type, out)
    from .cpu.resized_crop import resized_crop_cpu

    return resized_crop_cpu(frames, tables, out_size, result_type, out)


def _result_type(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        name = dtype.__name__
    else:
        name = dtype.name if isinstance(dtype, np.dtype) else dtype
    for result_type in _RESULTS:
        if isinstance(name, str) and name == result_type.name:
            return result_type
    raise TypeError(f"dtype must be float32 or float16, got {shown(dtype)}")


def _checked_size(size: Any) -> tuple[int, int]:
    sides = [whole(side, 1, _MOST) for side in size] if isinstance(size, (tuple, list)) else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        raise ValueError(f"size must be (height, width), each 1 to {_MOST} pixels, got {shown(size)}")
    return sides[0], sides[1]


def _on_cpu(name: str, numbers: Any) -> NDArray[Any]:
    if is_cupy(numbers):
        return np.asarray(numbers.get())
    try:
        return np.asarray(numbers)
    except (TypeError, ValueError):  # ragged, or an object that refuses
        raise ValueError(f"{name} must be an array, got {shown(numbers)}") from None


def _checked_boxes(boxes: Any, clips: int, frame_size: tuple[int, int]) -> NDArray[np.float64]:
    given = _on_cpu("boxes", boxes)
    if given.dtype.kind not in "fiu":
        raise TypeError(f"boxes must be real numbers, got {given.dtype}")
    if given.shape != (clips, 4):
        raise ValueError(f"boxes must be {(clips, 4)}, (y, x, h, w) for each clip, got shape {given.shape}")
    checked = given.astype(np.float64)
    begin, length = checked[:, :2], checked[:, 2:]
    # NaN compares as false
    inside = (length > 0) & (begin >= -_SLACK) & (begin + length <= np.array(frame_size) + _SLACK)
    outside = np.flatnonzero(~inside.all(axis=1))
    if outside.size:
        i = outside[0]
        height, width = frame_size
        raise ValueError(
            f"boxes must be (y, x, h, w) of at least some height and width inside frames of {height}x{width} pixels, "
            f"got {tuple(checked[i].tolist())} for clip {i}"
        )
    return checked


def _checked_flip(flip: Any, clips: int) -> NDArray[np.bool_]:
    if flip is None:
        return np.zeros(clips, np.bool_)
    given = _on_cpu("flip", flip)
    if given.shape != (clips,) or given.dtype != np.bool_:
        raise ValueError(f"flip must be {(clips,)} bool, one for each clip, got {given.shape} {given.dtype}")
    return given


def _per_channel(name: str, numbers: Any, channels: int) -> NDArray[np.float32]:
    """Return ``(2, C)``."""
    given = _on_cpu(name, numbers)
    if given.dtype.kind not in "fiu" or given.shape not in ((), (channels,), (2, channels)):
        raise ValueError(
            f"{name} must be a number, {(channels,)} for each channel, or {(2, channels)} for clips as they are and "
            f"flipped ones, got {given.dtype} of shape {given.shape}"
        )
    with np.errstate(over="ignore"):
        single = given.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError(f"{name} must be finite, got {shown(given.tolist())}")
    return np.broadcast_to(single, (2, channels))
