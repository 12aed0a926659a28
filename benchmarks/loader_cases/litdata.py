"""LitData: chunks of clips, as they are and with its Zstandard; and whole videos, of which it reads windows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .case import BATCH, CROP, DELIVERED, FRAME, LENGTH, Batches, Contender, Task
from .workers import in_workers

CHUNK_BYTES = "64MB"  # as in its README


def make_clips(clips: Path, folder: Path, compression: str | None) -> None:
    """Write the ``(N, ...)`` clips of a ``.npy`` file as tensors, samples of LitData."""
    from litdata import optimize

    optimize(
        partial(_clip, clips),
        list(range(len(np.load(clips, mmap_mode="r")))),
        str(folder),
        chunk_bytes=CHUNK_BYTES,
        compression=compression,
        # By default 256 clips would have to be decompressed for one.
        compression_batch_size=1 if compression else None,
        num_workers=1,
        keep_data_ordered=True,
        reorder_files=False,
        verbose=False,
    )


def make_videos(videos: list[tuple[Path, str]], folder: Path) -> None:
    """Write whole videos, each a dataset of a shard, as LitData's temporal arrays."""
    from litdata import TemporalArrayLoader, optimize

    optimize(
        _video,
        videos,
        str(folder),
        chunk_bytes=CHUNK_BYTES,
        num_workers=1,
        keep_data_ordered=True,
        reorder_files=False,
        verbose=False,
        item_loader=TemporalArrayLoader(),
    )


def _clip(clips: Path, number: int) -> Any:
    import torch

    return torch.from_numpy(np.array(np.load(clips, mmap_mode="r")[number]))


def _video(place: tuple[Path, str]) -> dict[str, Any]:
    import h5py
    import hdf5plugin  # noqa: F401  registers the filters

    with h5py.File(place[0], "r") as file:
        return {"frames": file[place[1]]["residual"][:]}


class LitDataClips:
    """The clips of a task by ``StreamingDataset[i]``, which maps the chunks into memory."""

    def __init__(self, task: Task, name: str) -> None:
        self._folder = task.root / name
        self._places = task.places
        self._dataset: Any = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Any:
        if self._dataset is None:
            self._dataset = _open(self._folder)
        return self._dataset[self._places[number]]


def _open(folder: Path, **options: Any) -> Any:
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
    from litdata import StreamingDataset

    # By default it may read several samples at once, of which random access uses one.
    return StreamingDataset(str(folder), batch_decode=0, **options)


def one_process(task: Task, *, name: str) -> Callable[[], Batches]:
    dataset = LitDataClips(task, name)
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def epoch() -> Batches:
        for batch in task.batches:
            for i, number in enumerate(batch):
                out[i] = dataset[number]
            yield out[: len(batch)]

    return epoch


def two_workers(task: Task) -> Callable[[], Batches]:
    return in_workers(LitDataClips(task, "litdata"))


def windows(task: Task) -> Callable[[], Batches]:
    """``read_window`` of whole frames; the crop is NumPy's."""
    from litdata import TemporalArrayLoader

    dataset = _open(task.root / "litdata-videos", item_loader=TemporalArrayLoader())
    numbers = {video: number for number, video in enumerate(sorted(task.sources))}
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def epoch() -> Iterator[Any]:
        for batch in task.batches:
            for i, number in enumerate(batch):
                clip = task.clips[number]
                frames = dataset.read_window(numbers[clip.video], clip.start, LENGTH)["frames"]
                out[i] = frames[:, clip.y : clip.y + CROP[0], clip.x : clip.x + CROP[1]]
            yield out[: len(batch)]

    return epoch


CONTENDERS = (
    Contender(
        name="LitData, these clips as tensors",
        open=partial(one_process, name="litdata"),
        group="clips",
        needs=("litdata",),
        stores=("litdata",),
    ),
    Contender(
        name="LitData, these clips as tensors, DataLoader, 2 workers",
        open=two_workers,
        group=f"clips, {DELIVERED}",
        needs=("litdata",),
        stores=("litdata",),
    ),
    Contender(
        name="LitData, these clips with its Zstandard",
        open=partial(one_process, name="litdata-zstd"),
        group="clips, compressed",
        needs=("litdata", "zstd"),
        stores=("litdata-zstd",),
        share=1 / 4,
    ),
    Contender(
        name="LitData, read_window of whole videos",
        open=windows,
        group="windows",
        needs=("litdata",),
        stores=("litdata-videos",),
    ),
)
