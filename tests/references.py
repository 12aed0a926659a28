"""Float64 references of the kernels, written plainly from their equations, sharing no code with them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

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


# TV-L1: Zach, Pock, Bischof 2007; Sanchez, Meinhardt-Llopis, Facciolo 2013. Flows are (2, H, W), x before y.


def gaussian_sampling(in_size: int, out_size: int, sigma: float) -> np.ndarray:
    """Return the ``(out_size, in_size)`` matrix that samples under a Gaussian cut at 3 sigma, edge samples repeated."""
    matrix = np.zeros((out_size, in_size))
    for i in range(out_size):
        centre = (i + 0.5) * in_size / out_size - 0.5
        for k in range(-int(3 * sigma) - 2, in_size + int(3 * sigma) + 2):
            if abs(k - centre) <= 3 * sigma + 1e-6:
                matrix[i, min(max(k, 0), in_size - 1)] += np.exp(-((k - centre) ** 2) / (2 * sigma**2))
    return matrix / matrix.sum(axis=1, keepdims=True)


def tvl1_pyramid_reference(
    frame: np.ndarray, sizes: list[tuple[int, int]], scale_factor: float, sigma: float
) -> list[np.ndarray]:
    """Return the levels of one frame: the finest smoothed by ``sigma``, each other made from the one below."""
    levels = [frame.astype(np.float64)]
    if sigma:
        levels = [gaussian_sampling(sizes[0][0], sizes[0][0], sigma) @ levels[0]]
        levels = [levels[0] @ gaussian_sampling(sizes[0][1], sizes[0][1], sigma).T]
    blur = 0.6 * np.sqrt(scale_factor**-2 - 1)
    for (in_height, in_width), (height, width) in pairwise(sizes):
        rows, columns = gaussian_sampling(in_height, height, blur), gaussian_sampling(in_width, width, blur)
        levels.append(rows @ levels[-1] @ columns.T)
    return levels


def _keys_cubic(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The convolution kernel of Keys 1981 with a = -1/2 at the distance ``s``, and its derivative."""
    t = np.abs(s)
    near, far = t <= 1, (t > 1) & (t < 2)
    value = near * (1.5 * t**3 - 2.5 * t**2 + 1) + far * (-0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
    slope = near * (4.5 * t**2 - 5 * t) + far * (-1.5 * t**2 + 5 * t - 4)
    return value, slope * np.sign(s)


def tvl1_data_term_reference(image0: np.ndarray, image1: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient ``(2, H, W)`` and ``rho - gradient . u``, linearised around ``u``; zero where u leads out."""
    height, width = image0.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    x, y = columns + u[0], rows + u[1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    warped, warped_x, warped_y = np.zeros((3, height, width))
    for j in range(-1, 3):
        for i in range(-1, 3):
            sample = image1[np.clip(top + j, 0, height - 1), np.clip(left + i, 0, width - 1)].astype(np.float64)
            across, across_slope = _keys_cubic(x - (left + i))
            down, down_slope = _keys_cubic(y - (top + j))
            warped += sample * across * down
            warped_x += sample * across_slope * down
            warped_y += sample * across * down_slope
    padded = np.pad(image0.astype(np.float64), 1, mode="edge")
    gradient_x = (warped_x + (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2) / 2
    gradient_y = (warped_y + (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2) / 2
    gradient = np.stack([gradient_x, gradient_y]) * inside
    return gradient, (warped - image0 - gradient_x * u[0] - gradient_y * u[1]) * inside


def tvl1_iteration_reference(
    u: np.ndarray, p: np.ndarray, gradient: np.ndarray, constant: np.ndarray, lambda_: float, theta: float, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """One iteration on ``u`` ``(2, H, W)`` and ``p`` ``(2, 2, H, W)``; the residual is ``constant + gradient . u``."""
    rho = constant + (gradient * u).sum(axis=0)
    squared = (gradient**2).sum(axis=0)
    limit = lambda_ * theta * squared
    safe = np.where(squared > 0, squared, 1)
    # Threshold step: equation 15 of the paper of 2007, with its three cases.
    v = u + np.where(
        rho < -limit, lambda_ * theta, np.where(rho > limit, -lambda_ * theta, -rho / safe)
    ) * gradient * (squared > 0)  # fmt: skip
    new_u, new_p = np.empty_like(u), np.empty_like(p)
    for c in range(2):
        divergence = np.diff(p[c, 0], axis=1, prepend=0) + np.diff(p[c, 1], axis=0, prepend=0)
        new_u[c] = v[c] + theta * divergence
        slope = np.stack(
            [np.diff(new_u[c], axis=1, append=new_u[c][:, -1:]), np.diff(new_u[c], axis=0, append=new_u[c][-1:])]
        )
        new_p[c] = (p[c] + tau / theta * slope) / (1 + tau / theta * np.sqrt((slope**2).sum(axis=0)))
    return new_u, new_p


def median_reference(u: np.ndarray, size: int) -> np.ndarray:
    """Median of ``size x size`` windows of each component, edges repeated."""
    padded = np.pad(u, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.median(windows, axis=(3, 4)).astype(np.float64)


def tvl1_flow_reference(
    frame0: np.ndarray, frame1: np.ndarray, sizes: list[tuple[int, int]], parameters: Any
) -> np.ndarray:
    """The whole method on one pair, ``(H, W, 2)`` float64; convergence is not looked at."""
    chosen = (sizes, parameters.scale_factor, parameters.presmoothing_sigma)
    pyramids = tvl1_pyramid_reference(frame0, *chosen), tvl1_pyramid_reference(frame1, *chosen)
    u = np.zeros((2, *sizes[-1]))
    for level in range(len(sizes) - 1, -1, -1):
        height, width = sizes[level]
        if level < len(sizes) - 1:
            in_height, in_width = sizes[level + 1]
            rows = triangle_filter_between(in_height, height)
            columns = triangle_filter_between(in_width, width)
            u = np.stack([rows @ u[0] @ columns.T * width / in_width, rows @ u[1] @ columns.T * height / in_height])
        p = np.zeros((2, 2, height, width))
        for _ in range(parameters.num_warps):
            gradient, constant = tvl1_data_term_reference(pyramids[0][level], pyramids[1][level], u)
            for i in range(parameters.max_iterations):
                u, p = tvl1_iteration_reference(
                    u, p, gradient, constant, parameters.lambda_, parameters.theta, parameters.tau
                )
                last = i + 1 == parameters.max_iterations
                if parameters.median_size > 1 and (last or (i + 1) % parameters.inner_iterations == 0):
                    u = median_reference(u, parameters.median_size)
    return u.transpose(1, 2, 0)


def triangle_filter_between(in_size: int, out_size: int) -> np.ndarray:
    """Return the matrix of linear interpolation to a larger size."""
    return triangle_filter(in_size, out_size, scale=in_size / out_size)


# Cost volume, displacement and warping: Zhao, Xiong, Lin, "Recognize Actions by Disentangling Components of Dynamics".


def cost_volume_reference(features0: np.ndarray, features1: np.ndarray, radius: tuple[int, int]) -> np.ndarray:
    """Section 3.3: cosine similarities ``(N, H, W, 2ry+1, 2rx+1)`` float64, 0 with a neighbour outside or a zero."""
    ry, rx = radius
    images, height, width, _ = features0.shape
    cost = np.zeros((images, height, width, 2 * ry + 1, 2 * rx + 1))
    f0, f1 = features0.astype(np.float64), features1.astype(np.float64)
    for n, y, x, i, j in np.ndindex(cost.shape):
        y1, x1 = y + i - ry, x + j - rx
        if 0 <= y1 < height and 0 <= x1 < width:
            a, b = f0[n, y, x], f1[n, y1, x1]
            norms = np.sqrt(a @ a) * np.sqrt(b @ b)
            cost[n, y, x, i, j] = a @ b / norms if norms > 0 else 0.0
    return cost


def displacement_reference(cost: np.ndarray, temperature: float) -> np.ndarray:
    """Equations 1 and 2 on a cost volume: ``(N, H, W, 2)`` float64, (x, y)."""
    ry, rx = cost.shape[3] // 2, cost.shape[4] // 2
    weights = np.exp((cost - cost.max(axis=(3, 4), keepdims=True)) / temperature)
    rho_y = weights.sum(axis=4) / weights.sum(axis=(3, 4))[..., None]
    rho_x = weights.sum(axis=3) / weights.sum(axis=(3, 4))[..., None]
    return np.stack([rho_x @ np.arange(-rx, rx + 1.0), rho_y @ np.arange(-ry, ry + 1.0)], axis=-1)


def winner_reference(cost: np.ndarray) -> np.ndarray:
    """Of the highest similarities in a cost volume the shortest displacement, then least dy, then least dx."""
    images, height, width, rows, columns = cost.shape
    winners = np.zeros((images, height, width, 2))
    for n, y, x in np.ndindex(images, height, width):
        best = [
            (-cost[n, y, x, i, j], dx * dx + dy * dy, dy, dx)
            for i, dy in enumerate(range(-(rows // 2), rows // 2 + 1))
            for j, dx in enumerate(range(-(columns // 2), columns // 2 + 1))
        ]
        winners[n, y, x] = min(best)[:1:-1]
    return winners


def warp_reference(features: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Section 3.4: bilinear samples of ``(H, W, C)`` at ``p + flow[p]``, float64, 0 outside the image."""
    height, width, _ = features.shape
    warped = np.zeros(features.shape)
    for y, x in np.ndindex(height, width):
        px, py = x + float(flow[y, x, 0]), y + float(flow[y, x, 1])
        if not (0 <= px <= width - 1 and 0 <= py <= height - 1):
            continue
        for y0 in range(height):
            for x0 in range(width):
                weight = max(0.0, 1 - abs(px - x0)) * max(0.0, 1 - abs(py - y0))
                if weight > 0:
                    warped[y, x] += weight * features[y0, x0].astype(np.float64)
    return warped


def warped_difference_reference(features0: np.ndarray, features1: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Section 3.4: the second frame less the first, warped to it."""
    return features1.astype(np.float64) - warp_reference(features0, -flow)


def zncc_features_reference(frames: np.ndarray, patch: int) -> np.ndarray:
    """Grey patches less their means, ``(T, H, W, patch * patch)`` float64; edge pixels are repeated."""
    x = frames.astype(np.float64)
    grey = x @ np.array([77, 150, 29]) / 256 if frames.shape[-1] == 3 else x[..., 0]
    r = patch // 2
    padded = np.pad(grey, ((0, 0), (r, r), (r, r)), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (patch, patch), axis=(1, 2))
    patches = patches.reshape(*grey.shape, patch * patch)
    return patches - patches.mean(axis=-1, keepdims=True)


# Resized crops: pixels are squares with their values at the centres, between which the image is linear.


def resized_crop_reference(
    frames: np.ndarray, boxes: np.ndarray, size: tuple[int, int], flip: np.ndarray | None = None
) -> np.ndarray:
    """Sample ``(N, T, H, W, C)`` in boxes ``(y, x, h, w)``: ``(N, C, T, *size)`` float64, edge pixels repeated."""
    clips, length, height, width, channels = frames.shape
    out = np.zeros((clips, channels, length, *size))
    for n in range(clips):
        y, x, h, w = (float(number) for number in boxes[n])
        rows = np.clip(y + (np.arange(size[0]) + 0.5) * h / size[0] - 0.5, 0, height - 1)
        columns = np.clip(x + (np.arange(size[1]) + 0.5) * w / size[1] - 0.5, 0, width - 1)
        down = np.maximum(0, 1 - np.abs(rows[:, None] - np.arange(height)))  # the triangle of each pixel
        across = np.maximum(0, 1 - np.abs(columns[:, None] - np.arange(width)))
        out[n] = np.einsum("ih,thwc,jw->ctij", down, frames[n].astype(np.float64), across)
        if flip is not None and flip[n]:
            out[n] = out[n, ..., ::-1]
    return out
