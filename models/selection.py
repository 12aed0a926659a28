"""Which videos of a cache a dataset has, and what is known about them."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pipeline.cache import Cache
from ..pipeline.errors import UsageError
from ..pipeline.labels import canonical_part, parse_splits
from ..pipeline.problems import counted
from .label_sources import Annotation, Labels, Split, annotation, is_list, listed_videos

_log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Videos of a cache, in its order.

    Parameters
    ----------
    positions
        ``(V,)``: their places in ``cache.videos``.
    labels
        ``(V,)``: indices of their classes, -1 where that is not known.
    num_frames
        ``(V,)``: frames that all modalities have, 1 or more.
    classes
        Index by class.
    """

    positions: NDArray[np.int32]
    labels: NDArray[np.int32]
    num_frames: NDArray[np.int32]
    classes: dict[str, int]

    def __post_init__(self) -> None:
        assert len(self.positions) == len(self.labels) == len(self.num_frames) > 0

    def __len__(self) -> int:
        return len(self.positions)


def select_videos(cache: Cache, modalities: Sequence[str], *, split: Split = None, labels: Labels = None) -> Selection:
    """Select videos by split and labels; those that lack frames of a modality are left out, and counted in the log.

    Parameters
    ----------
    modalities
        Those that each video must have.
    split
        - None: all videos.
        - ``"train"``: those of that part of the data set's only split; ``"1:train"``: of the split named 1.
        - The name of a file that ends with ``.txt`` or ``.csv``, a path, or a collection: the videos listed there.
    labels
        Where classes and splits come from, see ``label_sources.annotation``; the cache itself by default.

    Raises
    ------
    UsageError
        If the cache lacks a modality, a list or a label map does not fit the cache, there is no such split, or no
        video is left.
    """
    counts = np.stack([cache.frame_counts(modality) for modality in modalities])
    known = annotation(cache, labels)
    mask, failed = _in_split(cache, known, split)
    wanted = int(mask.sum())
    _report([*known.failed, *failed], cache, "failed when the cache was made", "failed when the cache was made")
    _report(known.absent, cache, f"of {known.source} is not in it", f"of {known.source} are not in it")
    lacking = []
    for modality, count in zip(modalities, counts, strict=True):
        without = mask & (count == 0)
        if without.any():
            ids = _ids(cache, without)
            lacking.append(f"{len(ids):,} without {modality}")
            _report(ids, cache, f"has no frame of {modality}", f"have no frame of {modality}")
    mask &= (counts > 0).all(axis=0)
    if not mask.any():
        why = f" ({', '.join(lacking)})" if lacking else ""
        chosen = "" if split is None else f" of the split {_shown(split)}"
        raise UsageError(
            f"no video is left: {cache.path} has {len(cache):,}, {wanted:,}{chosen} with the labels of "
            f"{known.source}{why}; choose another split, other labels or other modalities"
        )
    positions = np.flatnonzero(mask)
    return Selection(
        positions=positions.astype(np.int32),
        labels=_indices(known)[positions],
        num_frames=counts.min(axis=0)[positions].astype(np.int32),
        classes=known.classes,
    )


def _indices(known: Annotation) -> NDArray[np.int32]:
    classes = known.classes
    return np.fromiter((classes[label] if label else -1 for label in known.labels), np.int32, len(known.labels))


def _in_split(cache: Cache, known: Annotation, split: Split) -> tuple[Mask, list[str]]:
    """Return which videos are in the split, and listed ones that failed."""
    listed = np.array(known.listed, bool)
    if split is None:
        return listed, []
    if is_list(split):
        ids = listed_videos(cache, split)
        mask = np.fromiter((id_ in ids for id_ in cache.videos), bool, len(cache))
        return mask & listed, sorted(ids & {failure.video for failure in cache.failures})
    assert isinstance(split, str)
    name, _, part = split.strip().rpartition(":")
    texts = {text: parse_splits(text or "") for text in set(known.splits)}
    there = {key: part for parts in texts.values() for key, part in parts.items()}
    if name not in there:
        raise UsageError(_no_such_split(split, name, sorted(there), known.source))
    fitting = {text for text, parts in texts.items() if parts.get(name) == canonical_part(part)}
    if not fitting:
        parts_there = sorted({parts[name] for parts in texts.values() if name in parts})
        raise UsageError(
            f"no video of {known.source} is in the split {split!r}: there {'is' if len(parts_there) == 1 else 'are'} "
            + ", ".join(repr(f"{name}:{each}" if name else each) for each in parts_there)
        )
    return np.fromiter((text in fitting for text in known.splits), bool, len(cache)) & listed, []


def _no_such_split(split: str, name: str, there: list[str], source: str) -> str:
    if not there:
        return (
            f"the split {split!r} is not known, as {source} says nothing of splits: give labels that do "
            "(labels='ucf101:DIR', or a CSV path,label,split), or a list of videos (split='train.txt')"
        )
    if there == [""]:
        return f"there is no split {name!r} in {source}, which has one without a name: write split='train'"
    named = ", ".join(each for each in there if each)
    problem = f"{source} has the splits {named}" if not name else f"there is no split {name!r} in {source}, but {named}"
    return f"{problem}: write split='{there[-1] if not there[0] else there[0]}:train'"


def _report(ids: Collection[str], cache: Cache, one: str, many: str) -> None:
    if ids:
        _log.warning("%s: %s; left out", cache.path, counted(list(ids), f"video {one}", f"videos {many}"))


def _ids(cache: Cache, mask: Mask) -> list[str]:
    return [id_ for id_, wanted in zip(cache.videos, mask.tolist(), strict=True) if wanted]


def _shown(split: Split) -> str:
    return repr(os.fspath(split)) if isinstance(split, (str, os.PathLike)) else "given as a list"
