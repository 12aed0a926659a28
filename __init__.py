"""vidprep: videos in, motion caches out, for training action-recognition networks.

The public names are imported on first use, so ``import vidprep`` is fast and needs the core dependencies alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .pipeline import ExtractReport as ExtractReport
    from .pipeline import extract as extract
    from .pipeline.cache import Cache as Cache
    from .pipeline.cache import VideoInfo as VideoInfo
    from .pipeline.errors import VidprepError as VidprepError

_PUBLIC = {
    "extract": ".pipeline",
    "ExtractReport": ".pipeline",
    "Cache": ".pipeline.cache",
    "VideoInfo": ".pipeline.cache",
    "VidprepError": ".pipeline.errors",
}

__all__ = ["Cache", "ExtractReport", "VideoInfo", "VidprepError", "__version__", "extract"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module 'vidprep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
