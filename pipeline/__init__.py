"""Videos to cache. ``extract`` is the whole of it; the parts are in the files beside."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run import ExtractReport as ExtractReport
    from .run import Progress as Progress
    from .run import extract as extract

__all__ = ["ExtractReport", "Progress", "extract"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(".run", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
