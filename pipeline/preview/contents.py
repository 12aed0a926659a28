"""What a cache holds, added up for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..cache import Cache, VideoInfo

LISTED_VIDEOS = 500  # more would make the page slow; the totals count all of them


@dataclass(slots=True, kw_only=True)
class ModalityTotals:
    """One modality over all videos; ``sizes`` are ``(height, width)``."""

    items: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0
    sizes: set[tuple[int, int]]
    dtypes: set[str]
    codecs: set[str]

    @property
    def ratio(self) -> float:
        return self.raw_bytes / max(1, self.stored_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Totals of a cache and its first ``LISTED_VIDEOS`` videos."""

    num_videos: int
    num_frames: int
    modalities: dict[str, ModalityTotals]
    listed: list[VideoInfo]

    @property
    def raw_bytes(self) -> int:
        return sum(totals.raw_bytes for totals in self.modalities.values())

    @property
    def stored_bytes(self) -> int:
        return sum(totals.stored_bytes for totals in self.modalities.values())

    @property
    def ratio(self) -> float:
        return self.raw_bytes / max(1, self.stored_bytes)

    @classmethod
    def of(cls, cache: Cache) -> Contents:
        modalities = {name: ModalityTotals(sizes=set(), dtypes=set(), codecs=set()) for name in cache.modalities}
        num_frames = 0
        listed: list[VideoInfo] = []
        for video in cache.videos.values():
            num_frames += video.num_frames
            if len(listed) < LISTED_VIDEOS:
                listed.append(video)
            for name, stored in video.modalities.items():
                totals = modalities[name]
                pixels = stored.num_frames * stored.height * stored.width * stored.channels
                totals.items += stored.num_frames
                totals.raw_bytes += pixels * np.dtype(stored.dtype).itemsize
                totals.stored_bytes += stored.stored_bytes
                totals.sizes.add((stored.height, stored.width))
                totals.dtypes.add(stored.dtype)
                totals.codecs.add(stored.codec)
        return cls(num_videos=len(cache), num_frames=num_frames, modalities=modalities, listed=listed)
