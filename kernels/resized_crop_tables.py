"""Where each row and column of a resized crop samples, and how values become others: tables for any device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropTables:
    """What the crops of a batch need beside the frames.

    Parameters
    ----------
    taps
        ``(N, h + w, 2)`` int32: for each row and then each column of the result, the first of two neighbours to
        interpolate between, and the bits of the float32 weight of the second. The second is the next one in the frame;
        where there is none, its weight is 0.
    affine
        ``(N, C, 2)`` float32: factor and summand of each channel.
    """

    taps: NDArray[np.int32]
    affine: NDArray[np.float32]

    @staticmethod
    def of(
        boxes: NDArray[np.float64],
        flip: NDArray[np.bool_],
        frame_size: tuple[int, int],
        size: tuple[int, int],
        scale: NDArray[np.float32],
        offset: NDArray[np.float32],
    ) -> CropTables:
        """Make the tables.

        Parameters
        ----------
        boxes
            ``(N, 4)``, ``(y, x, h, w)`` in pixels, inside the frame.
        flip
            ``(N,)``: whether columns run from right to left.
        frame_size, size
            ``(H, W)`` and ``(h, w)``.
        scale, offset
            ``(2, C)``: of clips as they are and of flipped ones.
        """
        rows = _taps(boxes[:, 0], boxes[:, 2], frame_size[0], size[0])
        columns = _taps(boxes[:, 1], boxes[:, 3], frame_size[1], size[1])
        columns[flip] = columns[flip, ::-1]
        affine = np.stack([scale, offset], axis=-1)[flip.astype(np.intp)]
        return CropTables(taps=np.concatenate([rows, columns], axis=1), affine=np.ascontiguousarray(affine))

    @property
    def weights(self) -> NDArray[np.float32]:
        """``(N, h + w)``: of the second neighbours."""
        return self.taps.view(np.float32)[..., 1]


def _taps(begin: NDArray[np.float64], length: NDArray[np.float64], in_size: int, out_size: int) -> NDArray[np.int32]:
    """Return one axis of ``taps``: half-pixel centres, nothing beyond the centres of the frame's outermost pixels."""
    centres = begin[:, None] + (np.arange(out_size) + 0.5) * (length / out_size)[:, None] - 0.5
    centres = np.clip(centres, 0, in_size - 1)
    first = np.floor(centres)
    taps = np.empty((*centres.shape, 2), np.int32)
    taps[..., 0] = first
    taps[..., 1] = (centres - first).astype(np.float32).view(np.int32)
    return taps
