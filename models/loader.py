"""Batches for training: read by threads, augmented, and on the device, while the batch before is trained on. ::

dataset = ClipDataset("cache/", "residual", split="1:train")
augmentation = Augmentation((112, 112), formats=dataset.cache, mean=128, std=64)
loader = ClipLoader(dataset, 32, augmentation=augmentation, device="cuda")
for epoch in range(100):
    for batch in loader:
        train(batch["residual"], batch["label"])  # (N, 3, 16, 112, 112) float32, (N,) int64
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ..pipeline.cache.lazy import lazy
from ..pipeline.cache.memory_pool import MemoryPool
from ..pipeline.cache.work_ahead import work_ahead
from ..pipeline.errors import UsageError
from ..pipeline.numbers import whole_number
from .augmentation import Augmentation
from .clip_batch import ClipBatch, to_tensors
from .samplers import ClipSampler, Key
from .torch_extra import import_torch
from .video_clips import VideoClips

_USER = "loaders"
Made = tuple[dict[str, Any], Any]
"""A batch, and the event after which it is there."""

_IN_USE = 2  # batches that the training loop holds on to, as a rule


class ClipLoader:
    """Batches of a dataset of clips, in an order of its own for each epoch, made ahead by threads of this process.

    No worker processes: decompression does not hold Python's lock, so threads read as fast as processes, start at
    once, and need not hand anything over. Each pass is an epoch; batches are the same whatever the number of threads.

    Parameters
    ----------
    dataset
        ``ClipDataset``, ``UniformClips``, ``FlowStacks`` or ``Segments``.
    batch_size
        Clips of a batch on this rank. The last one of an epoch has what is left.
    sampler
        Order, epochs and ranks; by default ``ClipSampler(dataset)``, shuffled.
    augmentation
        What is done to the clips on the device. Without one they come as stored, ``(N, T, h, w, C)``.
    device
        Where batches are wanted: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or torch's. To a GPU they are copied from pinned
        memory and augmented on a stream of their own.
    prefetch_bytes
        What may be ready or in the making: clips as stored and as they are handed over. One batch is always made ahead.
    num_threads
        Threads that read; by default all cores of this process. Several processes of one machine should share them.

    Raises
    ------
    UsageError
        If a number is out of range, there is no such device, or the sampler is of another number of samples.
    MissingExtraError
        If torch is not installed.
    """

    def __init__(
        self,
        dataset: VideoClips,
        batch_size: int = 32,
        *,
        sampler: ClipSampler | None = None,
        augmentation: Augmentation | None = None,
        device: Any = "cpu",
        prefetch_bytes: int = 256 << 20,
        num_threads: int | None = None,
    ) -> None:
        if not isinstance(dataset, VideoClips):
            raise UsageError(
                f"a dataset of clips is needed, such as ClipDataset, got {type(dataset).__name__}: videos are chosen "
                "with its split"
            )
        if not (augmentation is None or isinstance(augmentation, Augmentation)):
            raise UsageError(
                f"augmentation must be an Augmentation, got {type(augmentation).__name__}: do other things to the "
                "batches that come out"
            )
        self.dataset = dataset
        self.sampler = ClipSampler(dataset) if sampler is None else sampler
        if self.sampler.num_samples != len(dataset):
            raise UsageError(
                f"the sampler is for {self.sampler.num_samples:,} samples, and the dataset has {len(dataset):,}: make "
                "it with ClipSampler(dataset)"
            )
        self.augmentation = augmentation
        self.device = _check_device(device)
        self.prefetch_bytes = whole_number(prefetch_bytes, 1, None, "prefetch_bytes must be at least 1")
        if num_threads is not None:
            num_threads = whole_number(num_threads, 1, None, "num_threads must be at least 1, or None")
        self.num_threads = num_threads
        self._batches = self.sampler.batches(batch_size)
        self._pass = 0  # the latest: only that one counts
        self._had = 0  # samples of it that were handed over

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches of the next epoch, or the rest of the one that ``load_state_dict`` resumes.

        Each is a dict as ``to_tensors`` describes, with ``"label"`` on the device too, and what the augmentation makes
        of each modality, ``(N, C, T, *size)``.

        Raises
        ------
        DamagedClipsError
            Where a clip is damaged; not if the dataset skips those.
        CacheError
            Where the cache's files are gone.
        """
        self._begin_pass()
        this = self._pass
        maker: _GpuMaker | _CpuMaker = _GpuMaker(self) if self.device.type == "cuda" else _CpuMaker(self)
        for made in work_ahead(self._batches, maker.make, self._num_bytes, self.prefetch_bytes):
            batch = maker.hand_over(made)
            if self._pass is this:
                self._had += len(batch["label"])
            yield batch

    @property
    def epoch(self) -> int:
        """The epoch under way, or, before the first one, of that."""
        return self.sampler.epoch

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is; by default each is one more than that before."""
        self.sampler.set_epoch(epoch)
        self._begin_pass()

    def state_dict(self) -> dict[str, Any]:
        """Return the place behind the batch that was handed over last, for ``load_state_dict`` of any number of ranks.

        What was made ahead of it does not count.
        """
        return self.sampler.state_dict(self._had)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: the next pass is the rest of that epoch.

        Raises
        ------
        UsageError
            If it is the state of another dataset, seed or order.
        """
        self.sampler.load_state_dict(state)
        self._begin_pass()

    @property
    def batch_bytes(self) -> int:
        """Of a whole batch, as stored and as it is handed over."""
        return self._batches.batch_size * self._clip_bytes

    @lazy
    def _clip_bytes(self) -> int:
        formats = self.dataset.formats.values()
        stored = sum(each.nbytes for each in formats)
        if self.augmentation is None:
            return stored
        item_bytes = np.dtype(self.augmentation.dtype).itemsize
        return stored + item_bytes * sum(prod(_result_shape(each.shape, self.augmentation)) for each in formats)

    def _begin_pass(self) -> None:
        self._pass += 1
        self._had = 0

    def _num_bytes(self, keys: list[Key]) -> int:
        return len(keys) * self._clip_bytes


class _CpuMaker:
    """Batches in memory that comes back when nobody refers to a batch: fresh memory costs a fault at every page."""

    def __init__(self, loader: ClipLoader) -> None:
        self._loader = loader
        self._torch = import_torch(_USER)
        self._pool = MemoryPool(loader.prefetch_bytes + _IN_USE * loader.batch_bytes)

    def make(self, keys: list[Key]) -> Made:
        loader, torch = self._loader, self._torch
        formats = loader.dataset.formats
        frames = {name: self._pool.array((len(keys), *each.shape), each.dtype) for name, each in formats.items()}
        batch = loader.dataset.read(keys, frames, num_threads=loader.num_threads)
        tensors = {name: torch.from_numpy(clips) for name, clips in frames.items()}
        if loader.augmentation is not None:
            tensors = self._augment(loader.augmentation, tensors, batch)
        return to_tensors(batch, loader.dataset.video_ids(batch), tensors), None

    def hand_over(self, made: Made) -> dict[str, Any]:
        return made[0]

    def _augment(self, augmentation: Augmentation, tensors: dict[str, Any], batch: ClipBatch) -> dict[str, Any]:
        out = {}
        for name, clips in tensors.items():
            shape = (len(clips), *_result_shape(tuple(clips.shape[1:]), augmentation))
            out[name] = self._torch.from_numpy(self._pool.array(shape, augmentation.dtype))
        return augmentation(tensors, batch.samples, batch.epochs, out=out)


class _GpuMaker:
    """Batches on a GPU, copied and augmented on a stream beside that of training."""

    def __init__(self, loader: ClipLoader) -> None:
        self._loader = loader
        self._torch = import_torch(_USER)
        self._stream = self._torch.cuda.Stream(loader.device)

    def make(self, keys: list[Key]) -> Made:
        loader, torch = self._loader, self._torch
        pinned = {}
        for name, each in loader.dataset.formats.items():
            dtype = torch.from_numpy(np.empty(0, each.dtype)).dtype
            # torch keeps pinned memory, and gives it to the next batch when the copy out of it is done.
            pinned[name] = torch.empty((len(keys), *each.shape), dtype=dtype, pin_memory=True)
        batch = loader.dataset.read(keys, pinned, num_threads=loader.num_threads)
        with torch.cuda.device(loader.device), torch.cuda.stream(self._stream):
            tensors = {name: clips.to(loader.device, non_blocking=True) for name, clips in pinned.items()}
            if loader.augmentation is not None:
                tensors = loader.augmentation(tensors, batch.samples, batch.epochs)
            made = to_tensors(batch, loader.dataset.video_ids(batch), tensors)
            made["label"] = made["label"].pin_memory().to(loader.device, non_blocking=True)
            return made, self._stream.record_event()

    def hand_over(self, made: Made) -> dict[str, Any]:
        batch, done = made
        current = self._torch.cuda.current_stream(self._loader.device)
        current.wait_event(done)
        for tensor in batch.values():
            if getattr(tensor, "is_cuda", False):
                tensor.record_stream(current)  # its memory is not the other stream's before this one is done with it
        return batch


def _result_shape(shape: tuple[int, ...], augmentation: Augmentation) -> tuple[int, ...]:
    """From ``(T, H, W, C)`` to what the augmentation makes of a clip."""
    length, _, _, channels = shape
    return channels, length, *augmentation.rule.size


def _check_device(device: Any) -> Any:
    torch = import_torch(_USER)
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise UsageError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}") from None
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"device {device!r} is asked for, and torch finds no CUDA GPU: use device='cpu'")
        index = torch.cuda.current_device() if found.index is None else found.index
        if index >= torch.cuda.device_count():
            raise UsageError(f"there is no device {device!r}: torch finds {torch.cuda.device_count()} CUDA GPUs")
        return torch.device("cuda", index)
    if found.type != "cpu":
        raise UsageError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    return found
