"""What a verification found, and what has to be made again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["header", "plan", "index", "failures", "missing", "sidecar", "shard", "chunk", "stray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        ``header``, ``plan``, ``index`` and ``failures`` are the files at the top. ``missing``: a shard of the plan that
        is not there. ``sidecar``: absent or damaged. ``shard``: absent, truncated or damaged outside its chunks.
        ``chunk``: of one video. ``stray``: a shard that the plan does not know.
    """

    kind: Kind
    detail: str
    shard: int | None = None
    video: str | None = None
    modality: str | None = None
    chunk: int | None = None

    def __str__(self) -> str:
        where = self.kind if self.shard is None else f"shard {self.shard:05d}"
        if self.video is not None:
            where += f", {self.video}, {self.modality}, chunk {self.chunk}"
        elif self.kind in ("sidecar", "missing", "stray"):
            where += f", {self.kind}"
        return f"{where}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What ``verify`` found.

    Parameters
    ----------
    leftovers
        Temporary files of killed runs: harmless, and removed by the next extraction.
    num_bytes
        Bytes that were compared, in all files.
    """

    damage: tuple[Damage, ...]
    leftovers: tuple[Path, ...]
    num_shards: int
    num_chunks: int
    num_bytes: int
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.damage

    @property
    def damaged_shards(self) -> tuple[int, ...]:
        """Shards to remove, with their sidecars, and extract again."""
        return self._shards("missing", "sidecar", "shard", "chunk")

    @property
    def stray_shards(self) -> tuple[int, ...]:
        """Shards to remove."""
        return self._shards("stray")

    def _shards(self, *kinds: Kind) -> tuple[int, ...]:
        return tuple(sorted({d.shard for d in self.damage if d.shard is not None and d.kind in kinds}))
