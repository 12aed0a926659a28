"""What every contender of the comparison of loaders gets and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FRAME = (128, 170, 3)  # of the cache: (H, W, C)
LENGTH = 16
CROP = (112, 112)
BATCH = 32
WORKERS = 2
DELIVERED = "delivered"  # ends the groups of those that hand over batches which others have read


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames ``start`` to ``start + LENGTH`` of a video, cropped at ``(y, x)``."""

    video: str
    start: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Which clips to read, in which order, and where they are kept.

    Parameters
    ----------
    root
        Folder of all stores: `stores.py` says what is in it.
    clips
        In the order of reading.
    places
        Of each clip in the stores that hold clips: they are stored in the order of videos and frames, so that reading
        them in the order of ``clips`` is random access.
    sources
        File that each video was made from.
    """

    root: Path
    clips: tuple[Clip, ...]
    places: tuple[int, ...]
    sources: dict[str, Path]

    def first(self, number: int) -> Task:
        """The same with the first clips only."""
        return Task(root=self.root, clips=self.clips[:number], places=self.places[:number], sources=self.sources)

    @property
    def batches(self) -> list[range]:
        """Numbers of the clips of each batch."""
        return [range(i, min(i + BATCH, len(self.clips))) for i in range(0, len(self.clips), BATCH)]


Batches = Iterator[Any]
"""Arrays or tensors ``(N, LENGTH, *CROP, C)``; each need only be valid until the next one."""

Open = Callable[[Task], Callable[[], Batches]]
"""Open the stores, once; the result goes through all clips, as often as it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One row of the comparison.

    Parameters
    ----------
    name
        As the table shows it.
    open
        What its process does.
    group
        What it is compared as: the goals are about groups.
    needs
        Modules that must be installed.
    stores
        What it reads below ``Task.root``, which a cold run drops from memory; None for the source videos.
    share
        Fraction of the clips it gets: less for the slow, whose run would take minutes.
    exact
        Whether it delivers the cache's own bytes; otherwise its clips need only be close.
    same_clips
        Whether its clips are those of the task; otherwise it draws as many itself, or delivers whole frames.
    """

    name: str
    open: Open
    group: str
    needs: tuple[str, ...] = ()
    stores: tuple[str, ...] | None = ("cache",)
    share: float = 1.0
    exact: bool = True
    same_clips: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that are not there."""
        return tuple(name for name in self.needs if find_spec(name) is None)
