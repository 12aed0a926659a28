"""Planar YUV to RGB with resizing, in one pass: what stands between a decoded picture and a cached frame.

Resizing is separable with the triangle (linear) filter, widened by the scale when a picture shrinks, so that it does
not alias; borders repeat the edge sample. Chroma is resampled straight from its own grid to the output grid, at its
siting, so that no full-size RGB (nor full-size chroma) exists at any moment. The arithmetic is in integers, the same
on every device, and every device gives the same bytes:

1. vertical:   ``v = min((sum_k wy[k] * plane[start_y + k] + half) >> (depth - 1), 2**15 - 1)``, weights of 14 bits
   (the limit takes effect on the brightest samples of 16 bits alone, which round up);
2. horizontal: ``h = (sum_k wx[k] * v[start_x + k] + 2**13) >> 14``, 15 bits;
3. colour:     ``rgb = clip((matrix @ (h - offset) + 2**19) >> 20, 0, 255)``, coefficients of 13 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._backend import common_backend

WEIGHT_BITS = 14
SAMPLE_BITS = 15  # of resampled values; a sample of `depth` bits is scaled by 2**(15 - depth)
MATRIX_BITS = 13

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
        ``(out_size, taps)`` int32, rows sum to ``2**14``. Taps past ``counts[i]`` are zero.
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
        rows.append((row_start, fixed))
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


@lru_cache(maxsize=32)
def colour_matrix(fmt: YuvFormat) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the ``(3, 3)`` int32 matrix (13-bit fractions) and ``(3,)`` int32 offsets (15-bit samples) of ``fmt``.

    ITU-R BT.601/709/2020: ``R = Y + 2(1-Kr) Cr``, ``B = Y + 2(1-Kb) Cb``, ``G = (Y - Kr R - Kb B) / Kg``, with Y and
    C scaled from their range to 0..1 and -0.5..0.5.
    """
    peak = 2**fmt.depth - 1
    unit = 2 ** (fmt.depth - 8)  # one 8-bit step, in samples
    if fmt.full_range:
        luma_scale, chroma_scale, luma_zero = 255 * unit / peak, 255 * unit / peak, 0.0
    else:
        luma_scale, chroma_scale, luma_zero = 255 / 219, 255 / 224, 16.0 * unit
    chroma_zero = 2.0 ** (fmt.depth - 1)
    if fmt.matrix == "rgb":
        matrix = np.eye(3) * luma_scale
        zeros = np.full(3, luma_zero)
    elif fmt.matrix == "gray":
        matrix = np.zeros((3, 3))
        matrix[:, 0] = luma_scale
        zeros = np.array([luma_zero, 0.0, 0.0])
    else:
        kr, kb = _LUMA_WEIGHTS[fmt.matrix]
        kg = 1.0 - kr - kb
        cr, cb = 2 * (1 - kr) * chroma_scale, 2 * (1 - kb) * chroma_scale
        matrix = np.array(
            [[luma_scale, 0.0, cr], [luma_scale, -kb / kg * cb, -kr / kg * cr], [luma_scale, cb, 0.0]]
        )
        zeros = np.array([luma_zero, chroma_zero, chroma_zero])
    fixed = np.rint(matrix * 2**MATRIX_BITS).astype(np.int32)
    offsets = np.rint(zeros * 2 ** (SAMPLE_BITS - fmt.depth)).astype(np.int32)
    fixed.setflags(write=False)
    offsets.setflags(write=False)
    return fixed, offsets


def yuv_to_rgb(y: Any, u: Any, v: Any, size: tuple[int, int], fmt: YuvFormat) -> Any:
    """Convert planar pictures to RGB frames of another size.

    Parameters
    ----------
    y, u, v
        ``(T, H, W)`` and twice ``(T, HC, WC)``, uint8 (depth 8) or uint16 (depth above 8), NumPy or CuPy; the chroma
        size is the luma size subsampled as ``fmt`` says, rounded up.
    size
        Output ``(height, width)``, each at least 1.
    fmt
        How to read the planes.

    Returns
    -------
    array
        ``(T, height, width, 3)`` uint8 on the same device; the same bytes on every device.

    Raises
    ------
    TypeError, ValueError
        If kinds, types, shapes or the size do not fit.
    """
    backend = common_backend(y=y, u=u, v=v)
    expected = np.uint8 if fmt.depth == 8 else np.uint16
    for name, plane in (("y", y), ("u", u), ("v", v)):
        if plane.dtype != expected:
            raise TypeError(f"{name} must be {np.dtype(expected)} at a depth of {fmt.depth} bits, got {plane.dtype}")
        if plane.ndim != 3 or min(plane.shape) < 1:
            raise ValueError(f"{name} must be (T, H, W) and not empty, got shape {tuple(plane.shape)}")
    wanted = (y.shape[0], *chroma_shape(y.shape[1:], fmt))
    if tuple(u.shape) != wanted or tuple(v.shape) != wanted:
        raise ValueError(f"chroma planes of {tuple(y.shape)} luma must be {wanted}, got {u.shape} and {v.shape}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width) of at least 1, got {size}")
    if backend == "cuda":
        from .cuda.yuv import yuv_to_rgb_cuda

        return yuv_to_rgb_cuda(y, u, v, (int(size[0]), int(size[1])), fmt)
    from .cpu.yuv import yuv_to_rgb_cpu

    return yuv_to_rgb_cpu(y, u, v, (int(size[0]), int(size[1])), fmt)
