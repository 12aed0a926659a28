"""Kernels compiled before the first video: on a machine's first run that takes half a minute, which is no video's."""

from __future__ import annotations

import numpy as np

from .config import ExtractConfig
from .first_layer import FirstLayer
from .modalities import get_modality
from .motion_frames import MotionFrames

_SIDE = 40  # pixels: flow has several scales

_warm: set[ExtractConfig] = set()


def warm_up(config: ExtractConfig, layer: FirstLayer | None) -> None:
    """Compute every modality of a tiny video on the CPU, the first time that this process is asked for them.

    Parameters
    ----------
    config
        What will be computed.
    layer
        What features are computed with, where the options name its file.
    """
    if config in _warm:
        return
    frames = MotionFrames(np.zeros((2, _SIDE, _SIDE, 3), np.uint8), 1, config.motion, layer)
    for name in config.modalities:
        modality = get_modality(name)
        stored = modality.stored(config.motion)
        modality.compute(frames, 0, 1, np.empty((1, _SIDE, _SIDE, stored.channels), stored.dtype))
    _warm.add(config)
