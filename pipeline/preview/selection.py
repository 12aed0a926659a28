"""Which videos and frames are shown, and which item of each modality belongs to a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import warped_difference
from ..errors import CacheError
from .evenly import evenly
from .look import look_at
from .points import check_points, mark_points
from .render import BEFORE, DEFAULT_LOOK, DERIVED, RENDERERS, Look, render

if TYPE_CHECKING:
    from ..cache import Cache, VideoInfo

_SAME_SHAPE = 0.02  # a picture stored this near to its source's shape is shown pixel by pixel
_MOST_STRETCHED = 8.0
_BETWEEN_FRAMES = ("flow", "displacement", "warped-difference", "cost-volume")  # what is seen best beside both frames
_CANDIDATES = 4096  # videos looked at to find a few of each class, so that a huge cache answers at once


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A video with its modalities side by side in time.

    Parameters
    ----------
    modalities
        In the order of display; ``render.BEFORE`` and those of ``render.DERIVED`` are made for the preview.
    frames
        Numbers of the frames for which every modality has an item.
    offsets
        Item ``t`` of a modality belongs to frame ``t + offset``: the residual of step s at frame t+s shows what changed
        since frame t.
    look
        How they are pictured.
    """

    video: VideoInfo
    modalities: tuple[str, ...]
    frames: range
    offsets: Mapping[str, int]
    look: Look = DEFAULT_LOOK

    @classmethod
    def of(cls, video: VideoInfo, look: Look = DEFAULT_LOOK) -> View:
        offsets = {name: video.num_frames - stored.num_frames for name, stored in video.modalities.items()}
        for name, motion in DERIVED.items():
            colours = {"rgb", motion, "warped-difference"} <= offsets.keys() and look.feature_scale is None
            if colours and look.warped_by != motion:
                offsets[name] = offsets[motion]
        between = [name for name in _BETWEEN_FRAMES if name in offsets]
        if between and "rgb" in offsets:
            offsets[BEFORE] = offsets[between[0]]
        order = list(RENDERERS)
        modalities = sorted(offsets, key=lambda name: order.index(name) if name in order else len(order))
        first, last = max(offsets.values()), video.num_frames
        return cls(video=video, modalities=tuple(modalities), frames=range(first, last), offsets=offsets, look=look)

    def pictures(self, cache: Cache, modality: str, start: int, stop: int) -> NDArray[np.uint8]:
        """RGB pictures ``(stop - start, H, W, 3)`` that belong to the frames ``start`` to ``stop`` (excluded)."""
        pictures = render(modality, self._items(cache, modality, start, stop), self.look)
        frames = {BEFORE, "rgb"} if BEFORE in self.modalities else set(self.modalities) - {"cost-volume"}
        if self.look.points and modality in frames:
            # The point is in the first frame, and in the second what it is compared with.
            reach = self.look.window if modality == "rgb" else None
            pictures = mark_points(pictures, self.look.points, reach or (2, 2))
        return pictures

    def _items(self, cache: Cache, modality: str, start: int, stop: int) -> NDArray[Any]:
        """``(stop - start, H, W, C)`` in physical units."""
        if modality in DERIVED:
            step = self.offsets[modality]
            first, second = (self._items(cache, "rgb", start - back, stop - back) for back in (step, 0))
            motion = self._items(cache, DERIVED[modality], start, stop)
            difference: NDArray[np.float32] = warped_difference(
                first.astype(np.float32), second.astype(np.float32), motion
            )
            return difference
        offset = self.offsets[modality]
        if modality == BEFORE:
            modality, offset = "rgb", self.offsets["rgb"] + offset
        quantised = self.video.modalities[modality].scale_factor is not None
        return cache.read(self.video.id, modality, start - offset, stop - offset, decode=quantised)

    @property
    def shown_size(self) -> tuple[int, int]:
        """``(height, width)`` that gives the stored pictures the shape of their source, which a fixed size squeezes."""
        stored = next(iter(self.video.modalities.values()))  # all of a video's are of one size
        source_height, source_width = self.video.source_height, self.video.source_width
        if source_height < 1 or source_width < 1:
            return stored.height, stored.width
        stretch = (source_width / source_height) / (stored.width / stored.height)
        if abs(stretch - 1) <= _SAME_SHAPE:
            return stored.height, stored.width
        stretch = min(max(stretch, 1 / _MOST_STRETCHED), _MOST_STRETCHED)
        return stored.height, max(1, round(stored.width * stretch))

    def seconds(self, frame: int) -> float | None:
        """When a frame is shown, as if frames were evenly spaced; ``None`` if the rate is unknown."""
        return frame / self.video.fps if self.video.fps > 0 else None

    def moment(self, frame: int) -> str:
        """``frame 25 · 1.00 s``."""
        seconds = self.seconds(frame)
        return f"frame {frame}" if seconds is None else f"frame {frame} \N{MIDDLE DOT} {seconds:.2f} s"

    def description(self) -> str:
        """Number of frames, rate, and the file it was made from, in one line."""
        video = self.video
        rate = f" at {video.fps:.4g} fps" if video.fps > 0 else ""
        turned = f", turned by {video.source_rotation} degrees" if video.source_rotation else ""
        source = f"{video.source_codec} {video.source_width}\N{MULTIPLICATION SIGN}{video.source_height}{turned}"
        return f"{video.num_frames:,} frame{'' if video.num_frames == 1 else 's'}{rate}, from {source}"


def choose_views(cache: Cache, video: str | None, *, limit: int, points: Iterable[Any] = ()) -> list[View]:
    """Views of the video asked for or, by default, of up to ``limit`` videos, evenly chosen from all classes.

    Raises
    ------
    UsageError
        The cache has no such video, or its frames no such point.
    CacheError
        The cache has no video at all.
    """
    if video is not None:
        return _views(cache, [video], points)
    if not len(cache):
        raise CacheError(
            f"there is nothing to see in {cache.path}: it holds no videos, and {len(cache.failures)} failed "
            f"(see {cache.path / 'failures.csv'})"
        )
    candidates = evenly(list(cache.videos), _CANDIDATES)
    labels = {id_: cache.videos[id_].label or "" for id_ in candidates}
    return _views(cache, spread_over_classes(labels, limit), points)


def _views(cache: Cache, ids: Sequence[str], points: Iterable[Any]) -> list[View]:
    videos = [cache.videos[id_] for id_ in ids]
    checked = check_points(points, videos)
    look = replace(look_at(cache, videos), points=checked)
    return [View.of(video, look) for video in videos]


def spread_over_classes(labels: Mapping[str, str], limit: int) -> list[str]:
    """Choose up to ``limit`` ids, as many of each class as of any other (give or take one), in the order given."""
    by_class: dict[str, list[str]] = {}
    for id_, label in labels.items():
        by_class.setdefault(label, []).append(id_)
    classes = evenly(list(by_class), limit)
    quota = dict.fromkeys(classes, 0)
    left = min(limit, sum(len(by_class[label]) for label in classes))
    while left:
        for label in classes:
            if left and quota[label] < len(by_class[label]):
                quota[label] += 1
                left -= 1
    chosen = {id_ for label in classes for id_ in evenly(by_class[label], quota[label])}
    return [id_ for id_ in labels if id_ in chosen]
