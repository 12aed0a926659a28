"""How one preview's pictures look: found out from what is in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .evenly import evenly
from .render import DEFAULT_LOOK, ON_THE_WHEEL, Look, root_mean_square

if TYPE_CHECKING:
    from ..cache import Cache, VideoInfo

_SAMPLES = 6  # items of a video that are measured
_PERCENTILE = 90  # of the lengths of motion: a moment of fast motion, or one wild video, shall not make all else pale
_PERCENTILE_OF_FEATURES = 99
_SCALES = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80, 100)  # pixels


def look_at(cache: Cache, videos: Sequence[VideoInfo]) -> Look:
    """Return the look for these videos of a cache: one scale for all motion, so that colours can be compared."""
    radius = cache.header.config.get("radius")
    return Look(
        motion_scale=_motion_scale(cache, videos),
        window=None if radius is None else (radius[0], radius[1]),
        warped_by=cache.header.config.get("warp_by", DEFAULT_LOOK.warped_by),
        feature_scale=_feature_scale(cache, videos) if _is_of_features(cache) else None,
    )


def _is_of_features(cache: Cache) -> bool:
    """Whether warped differences are those of a network's features: then the config names its file."""
    return isinstance(cache.header.config.get("features"), Mapping)


def _feature_scale(cache: Cache, videos: Sequence[VideoInfo]) -> float:
    """The size of most differences of features, of the middle video."""
    name = "warped-difference"
    sizes = [root_mean_square(_some_items(cache, video, name)) for video in videos if name in video.modalities]
    wanted = float(np.median([np.percentile(of_one, _PERCENTILE_OF_FEATURES) for of_one in sizes])) if sizes else 0.0
    return wanted or 1.0


def _motion_scale(cache: Cache, videos: Sequence[VideoInfo]) -> float:
    lengths = [_lengths(cache, video, name) for video in videos for name in ON_THE_WHEEL if name in video.modalities]
    if not lengths:
        return DEFAULT_LOOK.motion_scale
    wanted = np.median([np.percentile(of_one, _PERCENTILE) for of_one in lengths])
    return next((float(scale) for scale in _SCALES if wanted <= scale), float(_SCALES[-1]))


def _lengths(cache: Cache, video: VideoInfo, modality: str) -> NDArray[np.float32]:
    """Lengths of motion in pixels, of all pixels of a few items."""
    motion = _some_items(cache, video, modality)
    lengths: NDArray[np.float32] = np.hypot(motion[..., 0], motion[..., 1]).ravel()
    return lengths


def _some_items(cache: Cache, video: VideoInfo, modality: str) -> NDArray[Any]:
    items = evenly(range(video.modalities[modality].num_frames), _SAMPLES)
    return np.stack([cache.read(video.id, modality, item, item + 1, decode=True) for item in items])
