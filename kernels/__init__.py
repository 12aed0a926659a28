"""Arrays to arrays on one device. One public function per operation, dispatching on where its arrays live."""

from __future__ import annotations

from .residual import residual
from .yuv import YuvFormat, yuv_to_rgb

__all__ = ["YuvFormat", "residual", "yuv_to_rgb"]
