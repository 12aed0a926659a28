"""What a shard builder tells the run that it belongs to, while it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStarted:
    """A video was opened: from here until ``VideoFinished``, a crash or a hang is this video's."""

    video: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """Sign of life, a few times a second: source frames and compressed bytes since the last one."""

    frames: int
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFinished:
    """A video is in the shard, or recorded as failed (``stage`` and ``reason``)."""

    video: str
    stage: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFinished:
    """A shard is on disk, complete with its sidecar."""

    number: int


Event = VideoStarted | Advanced | VideoFinished | ShardFinished
