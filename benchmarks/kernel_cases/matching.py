"""Cost volume, displacement and the patches that they match."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from vidprep.kernels import cost_volume, displacement, zncc_features
from vidprep.kernels.displacement import DEFAULT_TEMPERATURE

from .case import OURS, Case, Family, to_gpu

# (N, H, W, C) and radius: maps of a network, then what extraction matches; batches without peers, which need gigabytes
INPUTS = (
    ((1, 112, 112, 64), 4),
    ((1, 112, 112, 64), 7),
    ((8, 112, 112, 64), 4),
    ((8, 112, 112, 64), 7),
    ((1, 128, 170, 81), 4),
    ((1, 128, 170, 3), 4),
)
FRAMES = ((16, 128, 170, 3), (2, 480, 640, 3))
PATCH = 9


def displacement_cases(gpu: bool) -> Iterator[Case]:
    """Displacement, soft; winner-take-all in a column of its own."""
    for shape, radius in INPUTS:
        first, second = _features(shape)
        cpu: dict[str, Callable[[], Any]] = {
            OURS: partial(displacement, first, second, radius),
            "vidprep wta": partial(displacement, first, second, radius, assignment="wta"),
        }
        on_gpu: dict[str, Callable[[], Any]] = {}
        if gpu:
            pair = to_gpu(first), to_gpu(second)
            half = [features.astype(np.float16) for features in pair]
            on_gpu[OURS] = partial(displacement, *pair, radius)
            on_gpu["vidprep wta"] = partial(displacement, *pair, radius, assignment="wta")
            on_gpu["vidprep float16"] = partial(displacement, *half, radius)
        if shape[0] == 1:
            for name, cost in _torch_costs().items():
                cpu[name] = _in_torch(cost, first, second, radius, soft=True)
                if gpu and _torch_has_gpu():
                    on_gpu[name] = _in_torch(cost, first, second, radius, soft=True, device="cuda")
        out_bytes = 8 * shape[0] * shape[1] * shape[2]
        yield _case(shape, radius, first.nbytes + second.nbytes + out_bytes, cpu, on_gpu)


def cost_volume_cases(gpu: bool) -> Iterator[Case]:
    """Cost volume, into an array made before."""
    for shape, radius in INPUTS:
        first, second = _features(shape)
        out = np.zeros((*shape[:3], 2 * radius + 1, 2 * radius + 1), np.float32)
        cpu: dict[str, Callable[[], Any]] = {OURS: partial(cost_volume, first, second, radius, out=out)}
        on_gpu: dict[str, Callable[[], Any]] = {}
        if gpu:
            on_gpu[OURS] = partial(cost_volume, to_gpu(first), to_gpu(second), radius, out=to_gpu(out))
        if shape[0] == 1:
            for name, cost in _torch_costs().items():
                cpu[name] = _in_torch(cost, first, second, radius, soft=False)
                if gpu and _torch_has_gpu():
                    on_gpu[name] = _in_torch(cost, first, second, radius, soft=False, device="cuda")
        yield _case(shape, radius, first.nbytes + second.nbytes + out.nbytes, cpu, on_gpu)


def zncc_cases(gpu: bool) -> Iterator[Case]:
    """Patches, of RGB frames, into an array made before and into a new one."""
    for shape in FRAMES:
        frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        out = np.zeros((*shape[:3], PATCH**2), np.float32)
        cpu: dict[str, Callable[[], Any]] = {
            OURS: partial(zncc_features, frames, PATCH, out=out),
            "vidprep, new array": partial(zncc_features, frames, PATCH),
            "new array, filled": partial(_filled, out.shape),
            "NumPy": partial(_numpy_patches, frames),
        }
        yield Case(
            label=f"{shape[2]}x{shape[1]}, {shape[0]} frames",
            count=shape[0],
            num_bytes=frames.nbytes + 4 * PATCH**2 * frames[..., 0].size,
            cpu=cpu,
            gpu={OURS: partial(zncc_features, to_gpu(frames), PATCH, out=to_gpu(out))} if gpu else {},
        )


_TORCH_NOTE = (
    "torch: float32, in inference mode, its own layout (channels first) from the start. All forms have `windows = "
    "unfold(second, 2r+1, padding=r).view(N, C, (2r+1)², H, W)` in memory, and `softmax` over the window and its means "
    "after the similarities. *sum*: of unit features, `(first[:, :, None] * windows).sum(1)`. *cosine_similarity*: "
    "`cosine_similarity(first[:, :, None], windows, dim=1)`. *channels last*: the same along the last axis, as for "
    "features that are (N, H, W, C): `cosine_similarity(first.permute(0, 2, 3, 1)[:, :, :, None], "
    "windows.permute(0, 3, 4, 2, 1), dim=-1)`."
)
FAMILIES = (
    Family(
        title="displacement, soft",
        unit="ms a pair",
        per_second=1e3,
        threaded=True,
        cases=displacement_cases,
        note=_TORCH_NOTE,
    ),
    Family(title="cost_volume", unit="ms a pair", per_second=1e3, threaded=True, cases=cost_volume_cases),
    Family(
        title=f"zncc_features, patches of {PATCH}x{PATCH}",
        unit="ms a frame",
        per_second=1e3,
        threaded=True,
        cases=zncc_cases,
        note="*new array*: of the result's size at each call, as NumPy has it; *filled* with a constant, it says what "
        "the system takes to hand out memory.",
    ),
)


def _features(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).standard_normal((2, *shape), np.float32)


def _case(shape: tuple[int, ...], radius: int, num_bytes: int, cpu: Any, on_gpu: Any) -> Case:
    images, height, width, channels = shape
    batch = f"{images} x " if images > 1 else ""
    return Case(
        label=f"{batch}{width}x{height}x{channels}, radius {radius}",
        count=images,
        num_bytes=num_bytes,
        num_ops=2 * channels * images * _neighbours(height, radius) * _neighbours(width, radius),
        cpu=cpu,
        gpu=on_gpu,
    )


def _neighbours(size: int, radius: int) -> int:
    """Count pairs of pixels of a line that are at most ``radius`` apart: those that need a product."""
    return size * (2 * radius + 1) - radius * (radius + 1)


def _filled(shape: tuple[int, ...]) -> Any:
    return np.full(shape, 1, np.float32)


def _numpy_patches(frames: Any) -> Any:
    r = PATCH // 2
    grey = frames @ (np.array([77, 150, 29], np.float32) / 256)
    padded = np.pad(grey, ((0, 0), (r, r), (r, r)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), (1, 2)).reshape(*grey.shape, -1)
    return windows - windows.mean(axis=-1, keepdims=True)


def _torch_costs() -> dict[str, Callable[..., Any]]:
    if not find_spec("torch"):
        return {}
    return {
        "torch sum": _torch_sum,
        "torch cosine_similarity": _torch_cosine,
        "torch cosine_similarity, channels last": _torch_cosine_channels_last,
    }


def _torch_has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _in_torch(
    cost: Callable[..., Any], first: Any, second: Any, radius: int, *, soft: bool, device: str = "cpu"
) -> Callable[[], Any]:
    import torch

    maps = [torch.from_numpy(features).permute(0, 3, 1, 2).contiguous().to(device) for features in (first, second)]

    def call() -> Any:
        with torch.inference_mode():
            volume = cost(*maps, radius)
            return _torch_means(volume, radius) if soft else volume

    return call


def _torch_means(volume: Any, radius: int) -> Any:
    import torch

    n, _, height, width = volume.shape
    shares = torch.softmax(volume / DEFAULT_TEMPERATURE, 1).view(n, 2 * radius + 1, 2 * radius + 1, height, width)
    steps = torch.arange(-radius, radius + 1.0, device=volume.device)[None, :, None, None]
    return torch.stack([(shares.sum(1) * steps).sum(1), (shares.sum(2) * steps).sum(1)], 1)


def _torch_windows(second: Any, radius: int) -> Any:
    from torch.nn.functional import unfold

    n, channels, height, width = second.shape
    return unfold(second, 2 * radius + 1, padding=radius).view(n, channels, -1, height, width)


def _torch_sum(first: Any, second: Any, radius: int) -> Any:
    from torch.nn.functional import normalize

    return (normalize(first, dim=1)[:, :, None] * _torch_windows(normalize(second, dim=1), radius)).sum(1)


def _torch_cosine(first: Any, second: Any, radius: int) -> Any:
    from torch.nn.functional import cosine_similarity

    return cosine_similarity(first[:, :, None], _torch_windows(second, radius), dim=1)


def _torch_cosine_channels_last(first: Any, second: Any, radius: int) -> Any:
    from torch.nn.functional import cosine_similarity

    windows = _torch_windows(second, radius).permute(0, 3, 4, 2, 1)
    return cosine_similarity(first.permute(0, 2, 3, 1)[:, :, :, None], windows, dim=-1).permute(0, 3, 1, 2)
