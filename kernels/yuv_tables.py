"""What the integers of ``yuv_to_rgb`` are: filter taps and colour coefficients, for every device the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WEIGHT_BITS = 16
SAMPLE_BITS = 16  # of resampled values
NARROW_TAPS = 8  # most taps of a filter that adds up truncated products
RGB_BITS = 5  # fractional bits of mixed colours

# Luma weights (Kr, Kb) of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance), and SMPTE 240M and FCC.
_LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
MATRICES = (*_LUMA_WEIGHTS, "rgb", "gray")


@dataclass(frozen=True, slots=True, kw_only=True)
class YuvFormat:
    """How the three planes of a picture are to be read.

    Parameters
    ----------
    matrix
        One of ``MATRICES``; ``rgb`` for planes that already hold R, G, B; ``gray`` for a luma plane alone (passed
        three times).
    full_range
        ``True`` for samples over the whole range (0..255), ``False`` for the studio range (16..235, 16..240).
    depth
        Bits per sample, 8 to 16. Planes are uint8 at 8 bits and uint16 above.
    chroma_shift
        log2 of the horizontal and vertical chroma subsampling: ``(1, 1)`` for 4:2:0, ``(1, 0)`` for 4:2:2,
        ``(0, 0)`` for 4:4:4.
    siting
        ``left``: chroma samples lie horizontally on even luma samples (MPEG-2 to AV1); ``center``: between (JPEG,
        MPEG-1). Vertically they lie between.
    """

    matrix: str = "bt601"
    full_range: bool = False
    depth: int = 8
    chroma_shift: tuple[int, int] = (1, 1)
    siting: Literal["left", "center"] = "left"

    def __post_init__(self) -> None:
        if self.matrix not in MATRICES:
            raise ValueError(f"matrix must be one of {', '.join(MATRICES)}, got {self.matrix!r}")
        if not 8 <= self.depth <= 16:
            raise ValueError(f"depth must be 8 to 16 bits, got {self.depth}")
        if any(shift not in (0, 1, 2) for shift in self.chroma_shift):
            raise ValueError(f"chroma_shift must be two of 0, 1, 2, got {self.chroma_shift}")
        if self.siting not in ("left", "center"):
            raise ValueError(f"siting must be left or center, got {self.siting!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampleTable:
    """Filter taps of one axis: output ``i`` is ``sum_k weights[i, k] * input[starts[i] + k]``.

    Parameters
    ----------
    starts
        ``(out_size,)`` int32; ``starts[i] + taps <= in_size`` wherever ``in_size >= taps``.
    weights
        ``(out_size, taps)`` int32, 0 to ``2**16 - 1``; rows sum to ``2**16``, or one less where a single tap has all.
        Taps past ``counts[i]`` are zero.
    counts
        ``(out_size,)`` int32: how many taps of each row count.
    """

    starts: NDArray[np.int32]
    weights: NDArray[np.int32]
    counts: NDArray[np.int32]


@lru_cache(maxsize=64)
def resample_table(
    in_size: int, out_size: int, *, luma_size: int | None = None, shift: int = 0, offset: float = 0.0
) -> ResampleTable:
    """Make the triangle filter from ``in_size`` samples to ``out_size``.

    Parameters
    ----------
    in_size, out_size
        Samples, at least 1.
    luma_size
        Size of the luma plane that ``out_size`` spans, if ``in_size`` is a chroma plane.
    shift
        log2 of the subsampling of this plane on this axis.
    offset
        Position of chroma sample 0 in luma samples: 0 for co-sited, ``(2**shift - 1) / 2`` for centred.

    Returns
    -------
    ResampleTable
        Read-only and cached. Taps outside the plane are folded on its edge sample.
    """
    scale = (luma_size or in_size) / out_size
    centres = (np.arange(out_size) + 0.5) * scale - 0.5  # in luma samples
    centres = (centres - offset) / 2**shift
    support = max(1.0, scale / 2**shift)
    first = np.floor(centres - support).astype(np.int64) + 1
    last = np.ceil(centres + support).astype(np.int64) - 1
    rows = []
    for centre, low, high in zip(centres, first, last, strict=True):
        taps = np.arange(low, max(high, low) + 1)
        values = np.maximum(0.0, 1.0 - np.abs(taps - centre) / support)
        values = values / values.sum()
        clamped = np.clip(taps, 0, in_size - 1)
        row_start = int(clamped[0])
        folded = np.zeros(int(clamped[-1]) - row_start + 1)
        np.add.at(folded, clamped - row_start, values)
        # Rounding the running sum makes rows sum to one exactly, so that flat areas stay flat, and carries each tap's
        # rounding error over to the next, so that a hundred taps are as exact as two.
        fixed = np.diff(np.rint(np.cumsum(folded) * 2**WEIGHT_BITS).astype(np.int64), prepend=0)
        rows.append((row_start, np.minimum(fixed, 2**WEIGHT_BITS - 1)))
    width = max(len(fixed) for _, fixed in rows)
    starts = np.empty(out_size, np.int32)
    counts = np.empty(out_size, np.int32)
    weights = np.zeros((out_size, width), np.int32)
    for i, (row_start, fixed) in enumerate(rows):
        # near the far edge the row is moved back so that all its (partly zero) taps lie inside the plane
        moved = max(0, min(row_start, in_size - width))
        shift_by = row_start - moved
        starts[i] = moved
        counts[i] = shift_by + len(fixed)
        weights[i, shift_by : shift_by + len(fixed)] = fixed
    for array in (starts, weights, counts):
        array.setflags(write=False)
    return ResampleTable(starts=starts, weights=weights, counts=counts)


def plane_tables(
    luma_shape: tuple[int, int], size: tuple[int, int], fmt: YuvFormat
) -> tuple[ResampleTable, ResampleTable, ResampleTable, ResampleTable]:
    """Return the filters ``(luma_y, luma_x, chroma_y, chroma_x)`` from a picture to ``size = (H, W)``."""
    (height, width), (out_h, out_w) = luma_shape, size
    shift_x, shift_y = fmt.chroma_shift
    offset_x = 0.0 if fmt.siting == "left" else (2**shift_x - 1) / 2
    chroma_h, chroma_w = chroma_shape(luma_shape, fmt)
    return (
        resample_table(height, out_h),
        resample_table(width, out_w),
        resample_table(chroma_h, out_h, luma_size=height, shift=shift_y, offset=(2**shift_y - 1) / 2),
        resample_table(chroma_w, out_w, luma_size=width, shift=shift_x, offset=offset_x),
    )


def chroma_shape(luma_shape: tuple[int, int], fmt: YuvFormat) -> tuple[int, int]:
    """Return the ``(height, width)`` of the chroma planes of a picture: subsampled sizes round up."""
    shift_x, shift_y = fmt.chroma_shift
    return -(-luma_shape[0] >> shift_y), -(-luma_shape[1] >> shift_x)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourTable:
    """From three resampled planes to RGB, all int32 and read-only.

    Parameters
    ----------
    shifts, offsets
        ``(3,)``: plane ``j`` enters as ``(x[j] >> shifts[j]) - offsets[j]``, which fits 16 bits with a sign: luma with
        7 fractional bits, chroma, which has a sign, with 8.
    coefficients
        ``(3, 3)``, ``[channel, plane]``: 14 fractional bits for planes shifted by 1, 13 for others, so that products
        cut by 16 bits have 5 in either case.
    biases
        ``(3,)``: one half for rounding, and half a unit for each product that was cut.
    """

    shifts: NDArray[np.int32]
    offsets: NDArray[np.int32]
    coefficients: NDArray[np.int32]
    biases: NDArray[np.int32]


def colour_matrix(fmt: YuvFormat) -> NDArray[np.float64]:
    """Return the ``(3, 3)`` float64 matrix from samples of ``fmt``, in 8-bit steps above their zeros, to RGB of 0..255.

    ITU-R BT.601/709/2020: ``R = Y + 2(1-Kr) Cr``, ``B = Y + 2(1-Kb) Cb``, ``G = (Y - Kr R - Kb B) / Kg``, with Y and
    C scaled from their range to 0..1 and -0.5..0.5.
    """
    peak = (2**fmt.depth - 1) / 2 ** (fmt.depth - 8)
    luma, chroma = (255 / peak, 255 / peak) if fmt.full_range else (255 / 219, 255 / 224)
    if fmt.matrix == "rgb":
        return np.eye(3) * luma
    if fmt.matrix == "gray":
        return np.array([[luma, 0.0, 0.0]] * 3)
    kr, kb = _LUMA_WEIGHTS[fmt.matrix]
    kg = 1.0 - kr - kb
    cr, cb = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    return np.array([[luma, 0.0, cr], [luma, -kb / kg * cb, -kr / kg * cr], [luma, cb, 0.0]])


@lru_cache(maxsize=32)
def colour_table(fmt: YuvFormat) -> ColourTable:
    """Return the integers with which pictures of ``fmt`` become RGB."""
    luma_zero = 0.0 if fmt.full_range else 16.0
    has_chroma = fmt.matrix not in ("rgb", "gray")
    shifts = np.array([1, 0, 0] if has_chroma else [1, 1, 1])
    zeros = np.array([luma_zero, 128.0, 128.0] if has_chroma else [luma_zero] * 3)
    coefficients = np.rint(colour_matrix(fmt) * 2.0 ** (13 + shifts))
    assert np.abs(coefficients).max() < 2**15, fmt
    tables = {
        "shifts": shifts,
        "offsets": zeros * 2.0 ** (8 - shifts),
        "coefficients": coefficients,
        "biases": 2 ** (RGB_BITS - 1) + np.count_nonzero(coefficients, axis=1) // 2,
    }
    frozen = {name: np.ascontiguousarray(values, np.int32) for name, values in tables.items()}
    for array in frozen.values():
        array.setflags(write=False)
    return ColourTable(**frozen)
