"""A chunk's frames and what several modalities need of them, computed when first asked for and then shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import displacement, tvl1_flow_of_clip, zncc_features
from ..kernels._backend import is_cupy
from ..kernels.features import DEFAULT_PATCH
from .cache.memory_pool import MemoryPool
from .conv_features import conv_features
from .first_layer import FirstLayer
from .motion import MotionOptions

_GREY_256THS = (77, 150, 29)  # of red, green and blue: ITU-R BT.601 to 8 bits, as in zncc_features
_FEATURE_BYTES = 1 << 26  # of features in memory at a time: with the default size, all of a chunk's

_memory = MemoryPool(1 << 26)  # from chunk to chunk and from video to video: first touches of memory take time
_feature_memory = MemoryPool(_FEATURE_BYTES)


class MotionFrames:
    """Consecutive frames; item ``i`` of a motion modality is between frame ``i`` and frame ``i + step``.

    Parameters
    ----------
    frames
        ``(T, H, W, 3)`` uint8 RGB, NumPy or CuPy.
    step
        Distance in frames of the two pictures of an item.
    options
        With values for all that is asked for.
    layer
        What features are computed with, where the options name its file.
    on_features
        Called whenever features of some more frames are there: large frames take long to match, item by item.
    """

    def __init__(
        self,
        frames: Any,
        step: int,
        options: MotionOptions,
        layer: FirstLayer | None = None,
        on_features: Callable[[], object] | None = None,
    ) -> None:
        assert (layer is None) == (options.layer_file is None)
        self.frames = frames
        self.step = step
        self.options = options
        self.layer = layer
        self._on_features = on_features
        self._flow: Any = None
        self._displacement: Any = None
        self._features: tuple[range, Any, Any] | None = None

    def __len__(self) -> int:
        """How many items there are."""
        return max(0, len(self.frames) - self.step)

    def grey(self) -> Any:
        """``(T, H, W)`` float32, 0..255: 77/256 red + 150/256 green + 29/256 blue, exactly."""
        if not is_cupy(self.frames):
            from ..kernels.cpu.grey import grey_cpu

            grey = _memory.array(self.frames.shape[:3], np.float32)
            grey_cpu(self.frames, _GREY_256THS, grey)
            return grey
        xp = array_module(self.frames)
        # All sums are whole multiples of 1/256 below 2^16: exact in float32, whoever adds them in which order.
        return self.frames.astype(np.float32) @ xp.array(_GREY_256THS, np.float32) / np.float32(256)

    def flow(self) -> Any:
        """``(len(self), H, W, 2)`` float32 TV-L1 flow."""
        if self._flow is None:
            assert self.options.flow_preset is not None
            shape = (len(self), *self.frames.shape[1:3], 2)
            out = None if is_cupy(self.frames) else _memory.array(shape, np.float32)
            self._flow = tvl1_flow_of_clip(self.grey(), self.step, self.options.flow_preset, out=out)
        return self._flow

    def displacement(self) -> Any:
        """``(len(self), H, W, 2)`` float32 displacement map of the features."""
        if self._displacement is None:
            options = self.options
            assert options.assignment is not None
            soft = {} if options.temperature is None else {"temperature": options.temperature}
            xp = array_module(self.frames)
            found = xp.empty((len(self), *self.frames.shape[1:3], 2), np.float32)
            done = 0
            while done < len(self):
                items, first, second = self.features_from(done)
                found[done : items.stop] = displacement(
                    first[done - items.start :], second[done - items.start :], options.window,
                    assignment=options.assignment, **soft,
                )  # fmt: skip
                done = items.stop
            self._displacement = found
        return self._displacement

    def features(self, item: int) -> tuple[Any, Any]:
        """``(1, H, W, C)`` float32 features of an item's two frames."""
        items, first, second = self.features_from(item)
        at = item - items.start
        return first[at : at + 1], second[at : at + 1]

    def features_from(self, item: int) -> tuple[range, Any, Any]:
        """Return the features of some items, ``item`` among them: ``(items, of their first, of their second frames)``.

        They are kept until others are asked for.
        """
        if self._features is None or item not in self._features[0]:
            self._features = None  # before there are new ones
            channels = DEFAULT_PATCH**2 if self.layer is None else self.layer.channels
            frame_bytes = 4 * channels * self.frames.shape[1] * self.frames.shape[2]
            most = _FEATURE_BYTES // frame_bytes  # frames
            shared = most - self.step  # items, if what is second in one is first in another
            if shared > most // 2:
                items = range(item, min(len(self), item + shared))
                both = self._describe(self.frames[item : items.stop + self.step])
                self._features = items, both[: len(items)], both[self.step :]
            else:
                items = range(item, min(len(self), item + max(1, most // 2)))
                first, second = (
                    self._describe(self.frames[item + later : items.stop + later]) for later in (0, self.step)
                )
                self._features = items, first, second
            if self._on_features is not None:
                self._on_features()
        return self._features

    def _describe(self, frames: Any) -> Any:
        if self.layer is not None:
            return conv_features(frames, self.layer)
        out = None if is_cupy(frames) else _feature_memory.array((*frames.shape[:3], DEFAULT_PATCH**2), np.float32)
        return zncc_features(frames, out=out)


def array_module(array: Any) -> Any:
    """Return NumPy or CuPy, whichever the array is of."""
    if is_cupy(array):
        import cupy

        return cupy
    return np
