"""h5py, on the cache's own shards and on a file of gzip chunks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .case import BATCH, CROP, DELIVERED, FRAME, LENGTH, Batches, Clip, Contender, Task
from .workers import in_workers


class OpenDatasets:
    """The residual frames of each video: files and datasets stay open.

    Parameters
    ----------
    root
        Folder of the stores.
    name
        Of a file there that holds all videos; None for the cache's shards.
    """

    def __init__(self, root: Path, name: str | None = None) -> None:
        self._root, self._name = root, name
        self._datasets: dict[str, Any] = {}

    def __getitem__(self, video: str) -> Any:
        if not self._datasets:
            self._open()
        return self._datasets[video]

    def _open(self) -> None:
        import h5py
        import hdf5plugin  # noqa: F401  registers the filters

        paths = [self._root / self._name] if self._name else sorted((self._root / "cache" / "shards").glob("*.h5"))
        for path in paths:
            file = h5py.File(path, "r")
            self._datasets |= {video: file[video]["residual"] for video in file}


def read(datasets: OpenDatasets, clip: Clip, out: Any) -> None:
    """Fill ``out`` with a clip: HDF5 does the cropping."""
    y, x = clip.y, clip.x
    out[:] = datasets[clip.video][clip.start : clip.start + LENGTH, y : y + CROP[0], x : x + CROP[1]]


def one_process(task: Task, *, name: str | None = None) -> Callable[[], Batches]:
    datasets = OpenDatasets(task.root, name)
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def epoch() -> Batches:
        for batch in task.batches:
            for i, number in enumerate(batch):
                read(datasets, task.clips[number], out[i])
            yield out[: len(batch)]

    return epoch


class HDF5Clips:
    """A dataset for torch: files are opened in the process that reads them."""

    def __init__(self, task: Task) -> None:
        self._clips = task.clips
        self._datasets = OpenDatasets(task.root)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, number: int) -> Any:
        import torch

        out = torch.empty((LENGTH, *CROP, FRAME[2]), dtype=torch.uint8)
        read(self._datasets, self._clips[number], out.numpy())
        return out


def two_workers(task: Task) -> Callable[[], Batches]:
    return in_workers(HDF5Clips(task))


CONTENDERS = (
    Contender(name="h5py on the same shards", open=one_process, group="h5py"),
    Contender(
        name="h5py on the same shards, DataLoader, 2 workers",
        open=two_workers,
        group=f"h5py, {DELIVERED}",
        needs=("torch",),
    ),
    Contender(
        name="h5py, gzip level 4, the same chunks",
        open=partial(one_process, name="gzip.h5"),
        group="gzip",
        stores=("gzip.h5",),
        share=1 / 2,  # enough that HDF5's own cache of chunks has none left from the round before
    ),
)
