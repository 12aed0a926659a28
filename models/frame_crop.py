"""Where frames are cropped, and whether they can be."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.errors import UsageError
from .randomness import integers

Sizes = Mapping[str, NDArray[np.int32]]
"""Height and width of each video's frames, ``(V, 2)`` by modality."""


def crop_size(crop: object, name: str = "crop") -> tuple[int, int] | None:
    """Return ``(height, width)`` as plain integers; ``UsageError`` unless it is that, or None."""
    if crop is None:
        return None
    try:
        height, width = (operator.index(size) for size in crop)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise UsageError(f"{name} must be (height, width), whole pixels from 1, got {crop!r}")
    return height, width


def random_boxes(
    seed: int, epochs: NDArray[np.int64], samples: NDArray[np.int64], sizes: NDArray[np.int32], crop: tuple[int, int]
) -> NDArray[np.int64]:
    """Choose a place for each sample, all that are inside its frames being equally likely.

    Parameters
    ----------
    sizes
        ``(N, 2)``: height and width of the frames.

    Returns
    -------
    ndarray
        ``(N, 4)``: y, x, height, width.
    """
    room = sizes - np.array(crop) + 1
    corners = [
        integers(seed, epochs, samples, purpose, room[:, axis]) for axis, purpose in enumerate(("crop y", "crop x"))
    ]
    return np.stack([*corners, *(np.full(len(samples), size) for size in crop)], axis=1)


def check_sizes(sizes: Sizes, crop: tuple[int, int] | None, name: Callable[[int], str]) -> None:
    """Refuse frames that cannot make a batch.

    Parameters
    ----------
    name
        Gives the id of a video.

    Raises
    ------
    UsageError
        If, without a crop, videos differ in size; or, with one, modalities of a video do, or it does not fit.
    """
    if crop is None:
        for modality, own in sizes.items():
            other = _first((own != own[0]).any(axis=1))
            if other is not None:
                raise UsageError(
                    f"{modality} frames of {name(0)!r} are {_by(own[0])} and those of {name(other)!r} "
                    f"{_by(own[other])} (height x width): give crop=(height, width), so that they make a batch"
                )
        return
    (first, common), *others = sizes.items()
    for modality, own in others:
        video = _first((own != common).any(axis=1))
        if video is not None:
            raise UsageError(
                f"frames of {name(video)!r} are {_by(common[video])} in {first} and {_by(own[video])} in {modality} "
                "(height x width): modalities are cropped together only where their sizes are equal, so leave crop out"
            )
    video = _first((common < np.array(crop)).any(axis=1))
    if video is not None:
        raise UsageError(
            f"a crop of {_by(crop)} does not fit into the frames of {name(video)!r}, which are "
            f"{_by(common[video])} (height x width): use a smaller one"
        )


def _first(wrong: Any) -> int | None:
    return int(wrong.argmax()) if wrong.any() else None


def _by(size: Any) -> str:
    return f"{size[0]}x{size[1]}"
