"""Float64 references of the kernels, written plainly from their equations, sharing no code with them."""

from __future__ import annotations

import numpy as np

from vidprep.kernels import YuvFormat

# (Kr, Kb) of ITU-R BT.601-7 section 2.5.1, BT.709-6 section 3.2, BT.2020-2 table 4, SMPTE 240M, FCC 73.682.
LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}


def residual_reference(frames: np.ndarray, step: int = 1, signed: bool = False) -> np.ndarray:
    """``frames[t + step] - frames[t]``, ``(T - step, H, W, C)`` float64; absolute unless signed."""
    x = frames.astype(np.float64)
    difference = x[step:] - x[:-step]
    return difference if signed else np.abs(difference)


def triangle_filter(in_size: int, out_size: int, *, scale: float, first: float = 0.0) -> np.ndarray:
    """Return the ``(out_size, in_size)`` matrix of a resize with the triangle filter, edge samples repeated.

    Parameters
    ----------
    in_size, out_size
        Samples.
    scale
        Input samples per output sample.
    first
        Position of the centre of input sample 0 in input samples, if the picture begins at -0.5.
    """
    support = max(1.0, scale)
    matrix = np.zeros((out_size, in_size))
    for i in range(out_size):
        centre = (i + 0.5) * scale - 0.5 - first
        for tap in range(int(np.floor(centre - support)), int(np.ceil(centre + support)) + 1):
            matrix[i, min(max(tap, 0), in_size - 1)] += max(0.0, 1.0 - abs(tap - centre) / support)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _chroma_filter(luma_size: int, in_size: int, out_size: int, shift: int, centred: bool) -> np.ndarray:
    """Return the filter from a chroma axis to the output, at the siting of the chroma samples."""
    factor = 2**shift
    # Chroma sample 0 lies at luma position 0 or, centred, amid the luma samples 0 to factor - 1. The picture begins at
    # luma position -0.5; in chroma samples, counted from where a centred grid has its sample 0:
    first = 0.0 if centred else -(factor - 1) / 2 / factor
    return triangle_filter(in_size, out_size, scale=luma_size / out_size / factor, first=first)


def yuv_to_rgb_reference(
    y: np.ndarray, u: np.ndarray, v: np.ndarray, size: tuple[int, int], fmt: YuvFormat
) -> np.ndarray:
    """Return ``(T, height, width, 3)`` float64 in 0..255, clipped and not rounded."""
    luma_h, luma_w = y.shape[1:]
    chroma_h, chroma_w = u.shape[1:]
    shift_x, shift_y = fmt.chroma_shift
    luma_rows = triangle_filter(luma_h, size[0], scale=luma_h / size[0])
    luma_columns = triangle_filter(luma_w, size[1], scale=luma_w / size[1])
    chroma_rows = _chroma_filter(luma_h, chroma_h, size[0], shift_y, centred=True)
    chroma_columns = _chroma_filter(luma_w, chroma_w, size[1], shift_x, centred=fmt.siting == "center")
    luma = luma_rows @ y.astype(np.float64) @ luma_columns.T
    first, second = (chroma_rows @ plane.astype(np.float64) @ chroma_columns.T for plane in (u, v))

    unit = 2.0 ** (fmt.depth - 8)  # one step of 8 bits
    peak = 2.0**fmt.depth - 1
    black, luma_range, chroma_range = (0.0, peak, peak) if fmt.full_range else (16 * unit, 219 * unit, 224 * unit)

    def grey(plane: np.ndarray) -> np.ndarray:
        return (plane - black) / luma_range

    def colour_difference(plane: np.ndarray) -> np.ndarray:
        return (plane - 128 * unit) / chroma_range

    if fmt.matrix == "rgb":
        rgb = [grey(luma), grey(first), grey(second)]
    elif fmt.matrix == "gray":
        rgb = [grey(luma)] * 3
    else:
        kr, kb = LUMA_WEIGHTS[fmt.matrix]
        red = grey(luma) + 2 * (1 - kr) * colour_difference(second)
        blue = grey(luma) + 2 * (1 - kb) * colour_difference(first)
        rgb = [red, (grey(luma) - kr * red - kb * blue) / (1 - kr - kb), blue]
    return np.clip(255 * np.stack(rgb, axis=-1), 0, 255)
