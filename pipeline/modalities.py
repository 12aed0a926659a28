"""What can be computed from frames and stored. One object a modality: how it computes, what its dataset looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels import cost_volume, residual, warped_difference
from ..kernels._backend import is_cupy
from .errors import UsageError
from .motion import MotionOptions
from .motion_frames import MotionFrames, array_module
from .option_names import option

MAX_FLOW = 20.0  # pixels; what quantised flow is clipped to
_FLOW_ZERO = 128
_FLOW_SCALE = MAX_FLOW / 127
_DIFFERENCE_SCALE = 255 / 127  # grey levels
_MAX_FLOAT16 = np.float32(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the items of a modality are on disk.

    Parameters
    ----------
    channels, dtype
        Of the array; NumPy's name of the type.
    scale_factor, add_offset
        The physical value is ``stored * scale_factor + add_offset``; ``None`` if that is what is stored.
    """

    channels: int
    dtype: str
    scale_factor: float | None = None
    add_offset: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """A recipe from frames to stored arrays.

    Parameters
    ----------
    name
        As on the command line and in the cache.
    moving
        Whether an item is computed from two frames, ``step`` apart. Then a video of T frames gives T - step items, else
        T.
    stored
        What its items are on disk, by the options.
    compute
        ``compute(frames, start, stop, out)``: the items ``start`` to ``stop`` (excluded) of some frames, into ``out``,
        an array ``(stop - start, H, W, channels)`` of the frames' kind. Item ``i`` is frame ``i``, or what is between
        frame ``i`` and frame ``i + step``.
    """

    name: str
    moving: bool
    stored: Callable[[MotionOptions], Stored]
    compute: Callable[[MotionFrames, int, int, Any], None]

    def halo(self, step: int) -> int:
        """Return how many frames before a chunk are needed to compute its first item."""
        return step if self.moving else 0


def _rgb(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    out[:] = frames.frames[start:stop]


def _residual(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    residual(frames.frames[start : stop + frames.step], frames.step, out=out)


def _flow(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    flow = frames.flow()[start:stop]
    if out.dtype == np.float16:
        out[:] = flow
    else:
        _quantise(flow, _FLOW_SCALE, _FLOW_ZERO, (_FLOW_ZERO - 127, _FLOW_ZERO + 127), out)


def _displacement(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    out[:] = frames.displacement()[start:stop]


def _cost_volume(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    for item in range(start, stop):  # one at a time: it is large
        volume = cost_volume(*frames.features(item), frames.options.window)
        out[item - start] = volume.reshape(out.shape[1:])


def _warped_difference(frames: MotionFrames, start: int, stop: int, out: Any) -> None:
    motion = frames.flow() if frames.options.warp_by == "flow" else frames.displacement()
    if frames.layer is not None:
        while start < stop:
            items, before, after = frames.features_from(start)
            here, end = slice(start - items.start, stop - items.start), min(stop, items.stop)
            difference = warped_difference(before[here], after[here], motion[start:end])
            out[: end - start] = difference.clip(-_MAX_FLOAT16, _MAX_FLOAT16, out=difference)
            start, out = end, out[end - start :]
        return
    first = frames.frames[start:stop].astype(np.float32)
    second = frames.frames[start + frames.step : stop + frames.step].astype(np.float32)
    difference = warped_difference(first, second, motion[start:stop])
    if out.dtype == np.float16:
        out[:] = difference
    else:
        _quantise(difference, _DIFFERENCE_SCALE, 0, (-127, 127), out)


def _quantise(values: Any, scale: float, zero: int, limits: tuple[int, int], out: Any) -> None:
    """Write ``values / scale + zero``, rounded and held within ``limits``, into an array of integers."""
    if not is_cupy(values):
        from ..kernels.cpu.quantise import quantise_cpu

        quantise_cpu(values, 1 / scale, zero, limits, out)
        return
    xp = array_module(values)
    stored = values * np.float32(1 / scale)
    xp.rint(stored, out=stored)
    stored += np.float32(zero)
    out[:] = xp.clip(stored, *limits, out=stored)


def _as_frames(options: MotionOptions) -> Stored:
    return Stored(channels=3, dtype="uint8")


def _stored_flow(options: MotionOptions) -> Stored:
    if options.flow_dtype == "float16":
        return Stored(channels=2, dtype="float16")
    # A power of two times the scale is exact: zero is zero again, however it is decoded.
    return Stored(channels=2, dtype="uint8", scale_factor=_FLOW_SCALE, add_offset=-_FLOW_ZERO * _FLOW_SCALE)


def _stored_displacement(options: MotionOptions) -> Stored:
    return Stored(channels=2, dtype="float16")


def _stored_cost_volume(options: MotionOptions) -> Stored:
    ry, rx = options.window
    return Stored(channels=(2 * ry + 1) * (2 * rx + 1), dtype="float16")


def _stored_difference(options: MotionOptions) -> Stored:
    if options.difference_dtype == "float16":
        channels = 3 if options.layer_file is None else options.layer_file.channels
        return Stored(channels=channels, dtype="float16")
    return Stored(channels=3, dtype="int8", scale_factor=_DIFFERENCE_SCALE, add_offset=0.0)


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality(name="rgb", moving=False, stored=_as_frames, compute=_rgb),
        Modality(name="residual", moving=True, stored=_as_frames, compute=_residual),
        Modality(name="flow", moving=True, stored=_stored_flow, compute=_flow),
        Modality(name="displacement", moving=True, stored=_stored_displacement, compute=_displacement),
        Modality(name="cost-volume", moving=True, stored=_stored_cost_volume, compute=_cost_volume),
        Modality(name="warped-difference", moving=True, stored=_stored_difference, compute=_warped_difference),
    )
}


def get_modality(name: str) -> Modality:
    """Look a modality up by name; ``UsageError`` says which exist."""
    if not isinstance(name, str) or name not in MODALITIES:
        what = option("modalities", "modality")
        raise UsageError(f"there is no {what} {name!r}: choose from {', '.join(MODALITIES)}")
    return MODALITIES[name]
