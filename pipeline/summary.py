"""What a cache holds, added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .cache import Cache, ModalityInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySummary:
    """One modality of a cache, summed over its videos.

    Parameters
    ----------
    sizes
        ``WIDTHxHEIGHT``, most frequent first.
    channels, dtype, codec
        The same in all of its datasets.
    """

    name: str
    frames: int
    raw_bytes: int
    stored_bytes: int
    sizes: tuple[str, ...]
    channels: int
    dtype: str
    codec: str

    @property
    def ratio(self) -> float:
        """Bytes of the frames for each byte on disk."""
        return _ratio(self.raw_bytes, self.stored_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSummary:
    """What is in a cache. ``modalities`` are those that some video has."""

    path: str
    format_version: int
    source: str
    videos: int
    shards: int
    source_frames: int
    classes: int
    labelled: int
    failures: int
    decoders: dict[str, int]
    modalities: tuple[ModalitySummary, ...]
    config: dict[str, object]
    tools: dict[str, str]

    @property
    def stored_bytes(self) -> int:
        """Of all modalities."""
        return sum(modality.stored_bytes for modality in self.modalities)

    @property
    def ratio(self) -> float:
        """Over all modalities, bytes of the frames for each byte on disk."""
        return _ratio(sum(modality.raw_bytes for modality in self.modalities), self.stored_bytes)


def summarise(cache: Cache) -> CacheSummary:
    """Add a cache up."""
    shards: set[int] = set()
    decoders: Counter[str] = Counter()
    totals: dict[str, _Totals] = {}
    source_frames = labelled = 0
    for video in cache.videos.values():
        shards.add(video.shard)
        decoders[video.decoder] += 1
        source_frames += video.num_frames
        labelled += bool(video.label)
        for name, stored in video.modalities.items():
            totals.setdefault(name, _Totals(stored)).add(stored)
    return CacheSummary(
        path=str(cache.path),
        format_version=cache.header.format_version,
        source=cache.header.source,
        videos=len(cache),
        shards=len(shards),
        source_frames=source_frames,
        classes=len(cache.classes),
        labelled=labelled,
        failures=len(cache.failures),
        decoders=dict(decoders),
        modalities=tuple(totals[name].summary(name) for name in cache.modalities if name in totals),
        config=dict(cache.header.config),
        tools=dict(cache.header.tools),
    )


class _Totals:
    """A modality's sums so far."""

    def __init__(self, first: ModalityInfo) -> None:
        self._first = first
        self._frames = self._raw_bytes = self._stored_bytes = 0
        self._sizes: Counter[str] = Counter()

    def add(self, stored: ModalityInfo) -> None:
        frame_bytes = stored.height * stored.width * stored.channels * np.dtype(stored.dtype).itemsize
        self._frames += stored.num_frames
        self._raw_bytes += stored.num_frames * frame_bytes
        self._stored_bytes += stored.stored_bytes
        self._sizes[f"{stored.width}x{stored.height}"] += 1

    def summary(self, name: str) -> ModalitySummary:
        return ModalitySummary(
            name=name,
            frames=self._frames,
            raw_bytes=self._raw_bytes,
            stored_bytes=self._stored_bytes,
            sizes=tuple(size for size, _ in self._sizes.most_common()),
            channels=self._first.channels,
            dtype=self._first.dtype,
            codec=self._first.codec,
        )


def _ratio(raw_bytes: int, stored_bytes: int) -> float:
    return raw_bytes / max(1, stored_bytes)
