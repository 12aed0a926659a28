"""A batch of clips as the cache gives it, and as torch gets it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.cache.memory_pool import MemoryPool
from .torch_extra import import_torch

NEED = "samples of datasets"

_KEPT_BYTES = 256 << 20  # a batch or two of the largest
_pool = MemoryPool(_KEPT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFormat:
    """What a modality's array of a batch is like: ``(N, *shape)`` of ``dtype``; ``shape`` is ``(T, h, w, C)``."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]

    @property
    def nbytes(self) -> int:
        """Of one clip."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipBatch:
    """Clips side by side, one array a modality, as stored and channels-last.

    Parameters
    ----------
    frames
        ``(N, T, h, w, C)`` by modality.
    labels
        ``(N,)`` int64; -1 where the class is not known.
    samples, epochs
        ``(N,)`` int64. Which sample of which epoch each clip is; for a clip that was damaged, the one in its place.
    positions
        ``(N,)`` int64, the videos' places in ``cache.videos``.
    numbers
        ``(N, T)`` int64: number in its video of the frame at each place in time; of a stack, the frame in its middle.
    replaced
        ``(N,)`` bool: the clip stands in for a damaged one.
    """

    frames: dict[str, NDArray[Any]]
    labels: NDArray[np.int64]
    samples: NDArray[np.int64]
    epochs: NDArray[np.int64]
    positions: NDArray[np.int64]
    numbers: NDArray[np.int64]
    replaced: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.labels)
        columns = (self.samples, self.epochs, self.positions, self.numbers, self.replaced, *self.frames.values())
        assert all(len(column) == count for column in columns)
        assert all(clips.ndim == 5 for clips in self.frames.values())

    def __len__(self) -> int:
        return len(self.labels)


def to_tensors(batch: ClipBatch, videos: Sequence[str], frames: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a batch as a dict of tensors on the batch's memory.

    Parameters
    ----------
    videos
        Ids, ``(N,)``.
    frames
        Tensors on the memory of ``batch.frames``, if there are some already.

    Returns
    -------
    dict
        By modality, ``(N, T, h, w, C)``; ``"label"`` and ``"index"`` (the sample's number), ``(N,)`` int64;
        ``"video"``, a list of ids; ``"frames"``, ``(N, T)`` int64, as ``ClipBatch.numbers``; ``"replaced"``, ``(N,)``
        bool.
    """
    torch = import_torch(NEED)
    if frames is None:
        frames = {modality: torch.from_numpy(clips) for modality, clips in batch.frames.items()}
    return {
        **frames,
        "label": torch.from_numpy(batch.labels),
        "video": list(videos),
        "index": torch.from_numpy(batch.samples),
        "frames": torch.from_numpy(batch.numbers),
        "replaced": torch.from_numpy(batch.replaced),
    }


def to_samples(batch: ClipBatch, videos: Sequence[str]) -> list[dict[str, Any]]:
    """Return each clip of a batch as a dict like that of ``to_tensors``, without the first axis."""
    tensors = to_tensors(batch, videos)
    return [{key: column[i] for key, column in tensors.items()} for i in range(len(batch))]


def arrays(formats: Mapping[str, ClipFormat], count: int) -> dict[str, NDArray[Any]]:
    """Return arrays for a batch of ``count`` clips, with anything in them.

    Their memory is used again once nothing refers to it: a batch fresh from the system costs half as much as reading
    its clips.
    """
    return {modality: _pool.array((count, *each.shape), each.dtype) for modality, each in formats.items()}


def shared_tensors(formats: Mapping[str, ClipFormat], count: int) -> dict[str, Any]:
    """Return tensors for a batch of ``count`` clips that a worker of torch's DataLoader hands over without a copy."""
    torch = import_torch(NEED)
    tensors = {}
    for modality, each in formats.items():
        dtype = torch.from_numpy(np.empty(0, each.dtype)).dtype
        tensors[modality] = torch.empty((count, *each.shape), dtype=dtype).share_memory_()
    return tensors


def _after_fork() -> None:
    global _pool
    _pool = MemoryPool(_KEPT_BYTES)  # the parent's may be locked, and nobody is here to unlock it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
