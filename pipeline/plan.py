"""From a list of videos to shards: a pure function, the same on every machine, whatever the number of workers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .cache import PlannedVideo
from .videos import Video

_MOST_PER_SHARD = 32
_FEWEST_SHARDS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """The videos of one shard, in the order in which they are stored."""

    number: int
    videos: tuple[Video, ...]

    @property
    def name(self) -> str:
        """Stem of the shard's files."""
        return f"shard-{self.number:05d}"

    def rows(self) -> tuple[PlannedVideo, ...]:
        """Return what ``plan.parquet`` says of the videos, with the sizes that their files have now."""
        return tuple(
            PlannedVideo(
                video=video.id,
                path=video.id,  # an id is the path below the source
                label=video.label or None,
                split=video.split or None,
                shard=self.number,
                source_bytes=_file_size(video.path),
            )
            for video in self.videos
        )


def _file_size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1  # extraction will say why


def default_shard_videos(num_videos: int) -> int:
    """Return how many videos a shard holds unless the user says: few for few videos, so that all workers get some.

    One up to 63 videos, then such that there are 32 shards or more, 32 videos at most: a shard is what a killed run has
    to do again, and about 200 MB of residual frames for clips of 7 seconds. Beside its videos a shard costs some 4 ms
    of processor time and a wait for the disk, 1 in 20 of such a clip's time: fewer shards of more videos would save
    less than workers lose by waiting for the last one.
    """
    return min(_MOST_PER_SHARD, max(1, num_videos // _FEWEST_SHARDS))


def plan_shards(videos: tuple[Video, ...], shard_videos: int | None = None) -> tuple[ShardPlan, ...]:
    """Split ``videos``, in their order, into shards of ``shard_videos`` (or ``default_shard_videos``)."""
    per_shard = shard_videos or default_shard_videos(len(videos))
    return tuple(
        ShardPlan(number=number, videos=videos[start : start + per_shard])
        for number, start in enumerate(range(0, len(videos), per_shard))
    )
