"""WebDataset's tar files of clips, read through its index: a tar as a stream has no random access."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .case import BATCH, CROP, DELIVERED, FRAME, LENGTH, Batches, Contender, Task
from .workers import in_workers

CLIPS_PER_TAR = 256  # 150 MB


def make(clips: Any, folder: Path) -> None:
    """Write ``(N, ...)`` clips as ``.npy`` files in tars, which is all that WebDataset asks for."""
    folder.mkdir()
    for first in range(0, len(clips), CLIPS_PER_TAR):
        with tarfile.open(folder / f"clips-{first // CLIPS_PER_TAR:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(first, min(first + CLIPS_PER_TAR, len(clips))):
                file = BytesIO()
                np.save(file, clips[number])
                entry = tarfile.TarInfo(f"{number:08d}.npy")
                entry.size = file.tell()
                file.seek(0)
                tar.addfile(entry, file)


class WebDatasetClips:
    """The clips of a task by ``wids.ShardListDataset``, which maps the tars into memory."""

    def __init__(self, task: Task) -> None:
        self._folder = task.root / "webdataset"
        self._places = task.places
        self._dataset: Any = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Any:
        if self._dataset is None:
            self._dataset = self._open()
        return np.load(self._dataset[self._places[number]][".npy"])

    def _open(self) -> Any:
        import wids

        tars = sorted(self._folder.glob("*.tar"))
        lengths = []
        for tar in tars:
            with tarfile.open(tar) as file:
                lengths.append(len(file.getnames()))
        shards = [
            {"url": str(tar), "nsamples": length, "filesize": tar.stat().st_size}
            for tar, length in zip(tars, lengths, strict=True)
        ]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # it announces itself
            return wids.ShardListDataset(
                shards, cache_dir=str(self._folder), lru_size=len(tars), keep=True, transformations=[]
            )


def one_process(task: Task) -> Callable[[], Batches]:
    dataset = WebDatasetClips(task)
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def epoch() -> Batches:
        for batch in task.batches:
            for i, number in enumerate(batch):
                out[i] = dataset[number]
            yield out[: len(batch)]

    return epoch


def two_workers(task: Task) -> Callable[[], Batches]:
    return in_workers(WebDatasetClips(task))


CONTENDERS = (
    Contender(
        name="WebDataset (wids), these clips as .npy",
        open=one_process,
        group="clips",
        needs=("wids",),
        stores=("webdataset",),
    ),
    Contender(
        name="WebDataset (wids), these clips as .npy, DataLoader, 2 workers",
        open=two_workers,
        group=f"clips, {DELIVERED}",
        needs=("wids", "torch"),
        stores=("webdataset",),
    ),
)
