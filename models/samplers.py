"""In which order samples are seen, and by whom: every sample once an epoch over all ranks, resumable at any sample."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.errors import UsageError
from ..pipeline.numbers import whole_number
from .randomness import permutation

Key = tuple[int, int]
"""What a dataset is asked with: epoch, sample."""

_FORMAT = 1
_CHECKED = ("num_samples", "seed", "shuffle")
_MAX_SEED = 2**64 - 1


class ClipSampler:
    """Keys ``(epoch, sample)`` of this rank, for ``torch.utils.data.DataLoader(..., sampler=...)``.

    All samples are put in an order that depends on seed and epoch alone, and dealt to the ranks in turn: no sample
    twice, none left out, so that one rank may have one more than another. Where all ranks must take the same number of
    steps (DistributedDataParallel waits for ever otherwise), use ``batches``.

    Each pass is an epoch: the first is epoch 0, the next epoch 1. ``set_epoch`` says otherwise.

    Parameters
    ----------
    dataset
        What is sampled, or how many samples it has.
    shuffle
        False for the order of the dataset.
    seed
        0 to 2**64 - 1. One seed for all ranks.
    rank, num_ranks
        This process and how many there are. By default those of torch.distributed if it is initialised, else 0 of 1.

    Raises
    ------
    UsageError
        If there is no sample, or a number is out of range.
    """

    def __init__(
        self,
        dataset: Sized | int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        num_ranks: int | None = None,
    ) -> None:
        count = len(dataset) if isinstance(dataset, Sized) else dataset
        self.num_samples = whole_number(count, 1, None, "a sampler needs at least one sample")
        self.shuffle = bool(shuffle)
        self.seed = check_seed(seed)
        self.rank, self.num_ranks = _ranks(rank, num_ranks)
        self._epoch = 0
        self._first = 0  # samples of the epoch, of all ranks, that were had before this pass
        self._taken = 0  # samples that this pass has given, on this rank
        self._begun = False

    def __len__(self) -> int:
        """Samples of this rank in a whole epoch."""
        return _share(self.num_samples, self.rank, self.num_ranks)

    def __iter__(self) -> Iterator[Key]:
        epoch, samples = self._begin()
        for sample in samples.tolist():
            self._taken += 1
            yield epoch, sample

    def batches(self, batch_size: int) -> ClipBatchSampler:
        """Return a sampler of whole batches.

        Parameters
        ----------
        batch_size
            Samples of a batch on this rank.
        """
        return ClipBatchSampler(self, batch_size)

    @property
    def epoch(self) -> int:
        """The epoch of the pass that is under way, or, before the first one, of that."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is.

        After ``load_state_dict``, naming the epoch that it resumes leaves the place in it as it is.
        """
        epoch = whole_number(epoch, 0, None, "an epoch is a number from 0")
        if self._begun or epoch != self._epoch:
            self._first = 0
        self._epoch, self._taken, self._begun = epoch, 0, False

    def state_dict(self, num_taken: int | None = None) -> dict[str, Any]:
        """Return where in the epoch this sampler is.

        Parameters
        ----------
        num_taken
            How many samples this rank has really had in this pass: of a pass that was resumed, since then. A
            DataLoader with workers takes keys ahead of what it hands out, so give this, counted in the training loop.
            By default what the sampler has given.
        """
        rest = _share(self.num_samples - self._first, self.rank, self.num_ranks)
        if num_taken is None:
            num_taken = self._taken
        num_taken = whole_number(num_taken, 0, rest, f"this rank can have had 0 to {rest} samples in this pass")
        # Towards the end of an epoch some ranks have one more; whoever has had all of its own has reached the end.
        first = self._first + num_taken * self.num_ranks if num_taken < rest else self.num_samples
        return {
            "format": _FORMAT,
            "num_samples": self.num_samples,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "epoch": self._epoch,
            "first": first,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another sampler was: the next pass is the rest of its epoch.

        The number of ranks may be another than it was.

        Raises
        ------
        UsageError
            If it is the state of something else, or of another number of samples, another seed or another order.
        """
        needed = {"format", "epoch", "first", *_CHECKED}
        if not isinstance(state, dict) or not needed <= set(state) or state["format"] != _FORMAT:
            raise UsageError("this is not the state of a ClipSampler: give what its state_dict returned")
        mine = self.state_dict()
        if differences := [name for name in _CHECKED if state[name] != mine[name]]:
            name = differences[0]
            raise UsageError(
                f"this is the state of a sampler with {name}={state[name]!r}, and this one has {name}={mine[name]!r}: "
                "make it as that one was, or begin anew"
            )
        self._epoch = whole_number(state["epoch"], 0, None, "an epoch is a number from 0")
        self._first = whole_number(state["first"], 0, self.num_samples, f"a place is 0 to {self.num_samples}")
        self._taken, self._begun = 0, False

    def _begin(self) -> tuple[int, NDArray[np.int64]]:
        """Begin a pass: its epoch, and this rank's samples.

        To be called with the first key that is taken, not before: a DataLoader may ask for iterators in vain.
        """
        if self._begun:
            self._epoch += 1
            self._first = 0
        self._taken, self._begun = 0, True
        return self._epoch, self._order()[self._first :][self.rank :: self.num_ranks]

    def _order(self) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.num_samples)
        return permutation(self.seed, self._epoch, self.num_samples, "order")


class ClipBatchSampler:
    """Lists of keys: as many on every rank, each sample in just one.

    For ``DataLoader(..., sampler=..., batch_size=None)``; as ``batch_sampler=...``, torch collates single samples.

    All batches have ``batch_size`` samples, but for the last: what is left is dealt to the ranks, so that its size
    differs by one at most between them. If less is left than there are ranks, it joins the batches before, which
    then have one more on some ranks.

    Parameters
    ----------
    sampler
        Whose order and epochs these are; ``set_epoch`` and ``state_dict`` are its.
    batch_size
        Of one rank, from 1.

    Raises
    ------
    UsageError
        If the batch size is out of range, or there are fewer samples than ranks.
    """

    def __init__(self, sampler: ClipSampler, batch_size: int) -> None:
        self.sampler = sampler
        self.batch_size = whole_number(batch_size, 1, None, "batch_size must be at least 1")
        self._count(0)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._count(0)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, samples = self.sampler._begin()
        if self.sampler._first == self.sampler.num_samples:
            return
        count = self._count(self.sampler._first)
        for i in range(count):
            stop = (i + 1) * self.batch_size if i < count - 1 else None
            batch = [(epoch, sample) for sample in samples[i * self.batch_size : stop].tolist()]
            self.sampler._taken += len(batch)
            yield batch

    def _count(self, first: int) -> int:
        sampler = self.sampler
        rest = sampler.num_samples - first
        if rest < sampler.num_ranks:
            left = "are left of this epoch" if first else "in all"
            raise UsageError(
                f"{rest} samples {left} cannot give each of {sampler.num_ranks} ranks a batch: "
                + ("go on with the next epoch (set_epoch)" if first else "use fewer ranks")
            )
        whole, left_over = divmod(rest, self.batch_size * sampler.num_ranks)
        return max(1, whole + (left_over >= sampler.num_ranks))


def check_seed(seed: object) -> int:
    """Return a seed as an ``int``; ``UsageError`` unless it is 0 to 2**64 - 1."""
    return whole_number(seed, 0, _MAX_SEED, "seed must be 0 to 2**64 - 1")


def _share(count: int, rank: int, num_ranks: int) -> int:
    return max(0, -(-(count - rank) // num_ranks))


def _ranks(rank: int | None, num_ranks: int | None) -> tuple[int, int]:
    if rank is None and num_ranks is None:
        distributed = sys.modules.get("torch.distributed")  # what was not imported is not initialised
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return 0, 1
        return distributed.get_rank(), distributed.get_world_size()
    if rank is None or num_ranks is None:
        raise UsageError(f"rank and num_ranks go together, got rank={rank!r} and num_ranks={num_ranks!r}")
    num_ranks = whole_number(num_ranks, 1, None, "num_ranks must be at least 1")
    return whole_number(rank, 0, num_ranks - 1, f"rank must be 0 to {num_ranks - 1} of {num_ranks} ranks"), num_ranks
