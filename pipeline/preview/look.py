"""How one preview's pictures look: found out from what is in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .evenly import evenly
from .render import DEFAULT_LOOK, ON_THE_WHEEL, Look

if TYPE_CHECKING:
    from ..cache import Cache, VideoInfo

_SAMPLES = 6  # items of a video that are measured
_PERCENTILE = 90  # of the lengths of motion: a moment of fast motion, or one wild video, shall not make all else pale
_SCALES = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80, 100)  # pixels


def look_at(cache: Cache, videos: Sequence[VideoInfo]) -> Look:
    """Return the look for these videos of a cache: one scale for all motion, so that colours can be compared."""
    radius = cache.header.config.get("radius")
    return Look(
        motion_scale=_motion_scale(cache, videos),
        window=None if radius is None else (radius[0], radius[1]),
        warped_by=cache.header.config.get("warp_by", DEFAULT_LOOK.warped_by),
    )


def _motion_scale(cache: Cache, videos: Sequence[VideoInfo]) -> float:
    lengths = [_lengths(cache, video, name) for video in videos for name in ON_THE_WHEEL if name in video.modalities]
    if not lengths:
        return DEFAULT_LOOK.motion_scale
    wanted = np.median([np.percentile(of_one, _PERCENTILE) for of_one in lengths])
    return next((float(scale) for scale in _SCALES if wanted <= scale), float(_SCALES[-1]))


def _lengths(cache: Cache, video: VideoInfo, modality: str) -> NDArray[np.float32]:
    """Lengths of motion in pixels, of all pixels of a few items."""
    items = evenly(range(video.modalities[modality].num_frames), _SAMPLES)
    motion = np.stack([cache.read(video.id, modality, item, item + 1, decode=True) for item in items])
    lengths: NDArray[np.float32] = np.hypot(motion[..., 0], motion[..., 1]).ravel()
    return lengths
