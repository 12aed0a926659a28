"""Arrays to arrays on one device. One public function per operation, dispatching on where its arrays live."""

from __future__ import annotations

from .cost_volume import cost_volume
from .displacement import displacement
from .features import zncc_features
from .residual import residual
from .resized_crop import resized_crop
from .tvl1 import tvl1_flow, tvl1_flow_of_clip
from .warp import warp, warped_difference
from .yuv import yuv_to_rgb
from .yuv_tables import YuvFormat

__all__ = [
    "YuvFormat",
    "cost_volume",
    "displacement",
    "residual",
    "resized_crop",
    "tvl1_flow",
    "tvl1_flow_of_clip",
    "warp",
    "warped_difference",
    "yuv_to_rgb",
    "zncc_features",
]
