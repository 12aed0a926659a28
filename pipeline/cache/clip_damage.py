"""What of a batch could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import CacheError
from .format import shard_path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDamage:
    """A clip of a batch that lacks frames.

    Parameters
    ----------
    clip
        Its place in the batch.
    video
        Id of its video.
    shard, chunk
        Numbers of the shard, and of the first damaged chunk of the video's dataset.
    reason
        Half a sentence.
    """

    clip: int
    video: str
    shard: int
    chunk: int
    reason: str


class DamagedClipsError(CacheError):
    """Clips of a batch are damaged; all others have been read.

    Parameters
    ----------
    cache
        The cache's folder.
    damage
        The damaged clips, in the order of the batch.
    num_clips
        Clips of the batch.
    """

    def __init__(self, cache: Path, modality: str, damage: tuple[ClipDamage, ...], num_clips: int) -> None:
        self.damage = damage
        self._rest = cache, modality, num_clips
        first = damage[0]
        others = f", as are others: {len(damage)} of {num_clips} clips" if len(damage) > 1 else ""
        super().__init__(
            f"{shard_path(cache, first.shard)} is damaged: chunk {first.chunk} of {modality} of {first.video!r} "
            f"cannot be read ({first.reason}){others}, so run `vidprep verify {cache} --repair`"
        )

    def __reduce__(self) -> tuple[type[DamagedClipsError], tuple[Path, str, tuple[ClipDamage, ...], int]]:
        cache, modality, num_clips = self._rest
        return type(self), (cache, modality, self.damage, num_clips)
