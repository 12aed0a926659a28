"""vidprep's own ways to a batch of clips, and its codec alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from .case import BATCH, CROP, DELIVERED, FRAME, LENGTH, WORKERS, Batches, Contender, Task

MODALITY = "residual"


def read_batch(task: Task, *, num_threads: int, name: str = "cache") -> Callable[[], Batches]:
    """Whole batches by ``Cache.read_batch``, into one array."""
    import vidprep

    cache = vidprep.Cache(task.root / name)
    plan = [
        (
            [(task.clips[i].video, task.clips[i].start) for i in batch],
            [(task.clips[i].y, task.clips[i].x, *CROP) for i in batch],
        )
        for batch in task.batches
    ]
    out = np.empty((BATCH, LENGTH, *CROP, FRAME[2]), np.uint8)

    def epoch() -> Batches:
        for clips, crops in plan:
            yield cache.read_batch(
                MODALITY, clips, length=LENGTH, crop=crops, out=out[: len(clips)], num_threads=num_threads
            )

    return epoch


def dataset_in_workers(task: Task) -> Callable[[], Batches]:
    """torch's ``DataLoader`` over ``ClipDataset``, which draws as many clips itself."""
    from torch.utils.data import DataLoader

    from vidprep.models import ClipSampler

    dataset = _dataset(task)
    sampler = ClipSampler(dataset).batches(BATCH)
    loader = DataLoader(dataset, sampler=sampler, batch_size=None, num_workers=WORKERS, persistent_workers=True)
    return lambda: (batch[MODALITY] for batch in loader)


def clip_loader(task: Task) -> Callable[[], Batches]:
    """``ClipLoader`` over the same dataset, without augmentation."""
    from vidprep.models import ClipLoader

    loader = ClipLoader(_dataset(task), BATCH, num_threads=WORKERS)
    return lambda: (batch[MODALITY] for batch in loader)


def _dataset(task: Task) -> Any:
    import vidprep
    from vidprep.models import ClipDataset

    cache = vidprep.Cache(task.root / "cache")
    return ClipDataset(cache, MODALITY, length=LENGTH, crop=CROP, clips_per_video=-(-len(task.clips) // len(cache)))


def codec_alone(task: Task) -> Callable[[], Batches]:
    """Decode exactly the frames that are wanted, from memory, on two threads; each thread writes to one place."""
    import hdf5plugin  # noqa: F401  registers the filters

    from vidprep.pipeline.cache.codecs import make_codec

    from .hdf5 import OpenDatasets

    frame_bytes = int(np.prod(FRAME))
    codec = make_codec("lz4", 1, frame_bytes)
    datasets = OpenDatasets(task.root)
    clips = [_only_frames(datasets[clip.video], clip.start, LENGTH) for clip in task.clips]
    targets = [np.empty(LENGTH * frame_bytes, np.uint8) for _ in range(WORKERS)]
    wanted = datasets[task.clips[0].video][task.clips[0].start : task.clips[0].start + LENGTH]
    codec.decode(clips[0], targets[0])
    assert np.array_equal(targets[0], wanted.reshape(-1))
    threads = ThreadPoolExecutor(WORKERS)

    def decode(worker: int) -> None:
        for clip in clips[worker::WORKERS]:
            codec.decode(clip, targets[worker])

    def epoch() -> Batches:
        list(threads.map(decode, range(WORKERS)))
        yield np.broadcast_to(np.uint8(0), (len(clips), LENGTH, *FRAME))  # as many clips, whole frames

    return epoch


def _only_frames(dataset: Any, start: int, count: int) -> Any:
    """Put the compressed frames ``start`` to ``start + count``, each a block of its chunk, together as one chunk."""
    per_chunk = dataset.chunks[0]
    frame_bytes = int(np.prod(dataset.shape[1:]))
    blocks: list[bytes] = []
    for chunk in range(start // per_chunk, (start + count - 1) // per_chunk + 1):
        data = dataset.id.read_direct_chunk((chunk * per_chunk, 0, 0, 0))[1]
        place = 12  # the chunk's bytes (8) and the block's (4)
        for frame in range(chunk * per_chunk, (chunk + 1) * per_chunk):
            end = place + 4 + int.from_bytes(data[place : place + 4], "big")
            if start <= frame < start + count:
                blocks.append(data[place:end])
            place = end
    header = (count * frame_bytes).to_bytes(8, "big") + frame_bytes.to_bytes(4, "big")
    return np.frombuffer(header + b"".join(blocks), np.uint8)


CONTENDERS = (
    Contender(
        name=f"vidprep, Cache.read_batch, {WORKERS} threads",
        open=partial(read_batch, num_threads=WORKERS),
        group="ours",
    ),
    Contender(
        name="vidprep, Cache.read_batch, 1 thread", open=partial(read_batch, num_threads=1), group="ours, 1 thread"
    ),
    Contender(
        name=f"vidprep without compression, Cache.read_batch, {WORKERS} threads",
        open=partial(read_batch, num_threads=WORKERS, name="cache-none"),
        group="ours, uncompressed",
        stores=("cache-none",),
    ),
    Contender(
        name=f"vidprep, ClipLoader, {WORKERS} threads",
        open=clip_loader,
        group=f"ours, {DELIVERED}",
        needs=("torch",),
        same_clips=False,
    ),
    Contender(
        name=f"vidprep, DataLoader over ClipDataset, {WORKERS} workers",
        open=dataset_in_workers,
        group=f"ours, {DELIVERED}",
        needs=("torch",),
        same_clips=False,
    ),
)
CODEC = Contender(
    name=f"the codec alone, {WORKERS} threads, whole frames in memory",
    open=codec_alone,
    group="codec",
    same_clips=False,
)
