"""Warping, and what is left of a frame once the other, moved, is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from vidprep.kernels import warp, warped_difference

from .case import OURS, Case, Family, to_gpu

INPUTS = (  # (N, H, W, C), and whether the flow is smooth
    ((1, 112, 112, 64), True),
    ((16, 112, 112, 64), True),
    ((16, 112, 112, 64), False),
    ((16, 128, 170, 3), True),
    ((16, 480, 640, 3), True),
)
_MOST_OF_OPENCV = 4  # channels that cv2.remap takes


def warp_cases(gpu: bool) -> Iterator[Case]:
    """Features in, flow in, features out."""
    yield from _cases(gpu, subtract=False)


def difference_cases(gpu: bool) -> Iterator[Case]:
    """The same, and a second map in."""
    yield from _cases(gpu, subtract=True)


_NOTE = (
    "Smooth flow of up to 4 pixels; *noise*: vectors that have nothing to do with their neighbours, two pixels in "
    "standard deviation. torch has its own layout, channels first, and "
    "`grid_sample`'s normalised places, OpenCV the places that `remap` wants, both from the start."
)
FAMILIES = (
    Family(title="warp", unit="µs a frame", per_second=1e6, threaded=True, cases=warp_cases, note=_NOTE),
    Family(title="warped_difference", unit="µs a frame", per_second=1e6, threaded=True, cases=difference_cases),
)


def _cases(gpu: bool, *, subtract: bool) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for shape, smooth in INPUTS:
        first, second = rng.standard_normal((2, *shape), np.float32)
        flow = _smooth_flow(shape) if smooth else 2 * rng.standard_normal((*shape[:3], 2), np.float32)
        out = np.zeros(shape, np.float32)
        operands = (first, second, flow) if subtract else (first, flow)
        kernel: Callable[..., Any] = warped_difference if subtract else warp
        cpu: dict[str, Callable[[], Any]] = {OURS: partial(kernel, *operands, out=out)}
        on_gpu: dict[str, Callable[[], Any]] = {}
        if gpu:
            on_gpu[OURS] = partial(kernel, *map(to_gpu, operands), out=to_gpu(out))
        minuend, signed_flow = (second, -flow) if subtract else (None, flow)
        if find_spec("torch"):
            import torch

            cpu["torch grid_sample"] = _torch(first, signed_flow, minuend, "cpu")
            if gpu and torch.cuda.is_available():
                on_gpu["torch grid_sample"] = _torch(first, signed_flow, minuend, "cuda")
        if find_spec("cv2") and shape[3] <= _MOST_OF_OPENCV:
            cpu["OpenCV remap"] = _opencv(first, signed_flow, minuend, out)
        yield Case(
            label=f"{shape[0]} x {shape[2]}x{shape[1]}x{shape[3]}{'' if smooth else ', noise'}",
            count=shape[0],
            num_bytes=sum(array.nbytes for array in (*operands, out)),
            cpu=cpu,
            gpu=on_gpu,
        )


def _smooth_flow(shape: tuple[int, ...]) -> Any:
    y, x = np.mgrid[: shape[1], : shape[2]]
    flow = 2.8 * np.stack([np.sin(x / 40 + y / 55), np.cos(x / 35 - y / 60)], -1)
    return np.repeat(flow[None].astype(np.float32), shape[0], axis=0)


def _places(flow: Any) -> Any:
    """Return where each pixel is sampled, ``(N, H, W, 2)``."""
    y, x = np.mgrid[: flow.shape[1], : flow.shape[2]].astype(np.float32)
    return flow + np.stack([x, y], -1)


def _torch(features: Any, flow: Any, minuend: Any, device: str) -> Callable[[], Any]:
    import torch
    from torch.nn.functional import grid_sample

    def channels_first(array: Any) -> Any:
        return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().to(device)

    maps = channels_first(features)
    height, width = flow.shape[1:3]
    grid = torch.from_numpy(_places(flow) / np.array([(width - 1) / 2, (height - 1) / 2], np.float32) - 1).to(device)
    other = None if minuend is None else channels_first(minuend)

    def call() -> Any:
        with torch.inference_mode():
            warped = grid_sample(maps, grid, align_corners=True)
            return warped if other is None else torch.sub(other, warped, out=warped)

    return call


def _opencv(features: Any, flow: Any, minuend: Any, out: Any) -> Callable[[], Any]:
    import cv2

    places = _places(flow)

    def call() -> None:
        for i, picture in enumerate(features):
            cv2.remap(picture, places[i], None, cv2.INTER_LINEAR, dst=out[i], borderMode=cv2.BORDER_CONSTANT)
            if minuend is not None:
                cv2.subtract(minuend[i], out[i], dst=out[i])

    return call
