"""What trains from the cache: datasets and samplers for torch.

The public names are imported on first use. None of them needs torch to be imported; what gives tensors asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .augmentation import Augmentation as Augmentation
    from .clip_batch import ClipBatch as ClipBatch
    from .clip_batch import ClipFormat as ClipFormat
    from .data import ClipDataset as ClipDataset
    from .data import FlowStacks as FlowStacks
    from .data import Segments as Segments
    from .data import UniformClips as UniformClips
    from .loader import ClipLoader as ClipLoader
    from .samplers import ClipBatchSampler as ClipBatchSampler
    from .samplers import ClipSampler as ClipSampler

_PUBLIC = {
    "Augmentation": "augmentation",
    "ClipBatch": "clip_batch",
    "ClipBatchSampler": "samplers",
    "ClipDataset": "data",
    "ClipFormat": "clip_batch",
    "ClipLoader": "loader",
    "ClipSampler": "samplers",
    "FlowStacks": "data",
    "Segments": "data",
    "UniformClips": "data",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
