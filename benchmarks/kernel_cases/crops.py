"""Clips as stored to the input of a network: cropped, resized, flipped, normalised, channels first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from vidprep.kernels import resized_crop

from .case import OURS, Case, Family, to_gpu

CLIPS = 32
SIZE = (112, 112)
GREY, FLOW = (16, 128, 170, 3), (1, 128, 170, 20)  # frames of a clip; of a stack of flow
INPUTS = (  # (T, H, W, C), height and width of the boxes, type of the result
    (GREY, (112, 112), "float32"),
    (GREY, (112, 112), "float16"),
    (GREY, (96, 112), "float32"),
    (GREY, (128, 128), "float32"),
    (GREY, (128, 128), "float16"),
    (FLOW, (112, 112), "float32"),
    (FLOW, (128, 128), "float32"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What is done to one batch."""

    frames: Any
    boxes: Any
    flip: Any
    scale: Any
    offset: Any
    out: Any


def cases(gpu: bool) -> Iterator[Case]:
    """Batches of 32 clips, each with a box of its own, half of them flipped."""
    for shape, box, dtype in INPUTS:
        batch = _batch(shape, box, dtype)
        options = {"flip": batch.flip, "scale": batch.scale, "offset": batch.offset, "dtype": batch.out.dtype}
        cpu: dict[str, Callable[[], Any]] = {
            OURS: partial(resized_crop, batch.frames, batch.boxes, SIZE, **options, out=batch.out)
        }
        on_gpu: dict[str, Callable[[], Any]] = {}
        if gpu:
            on_gpu[OURS] = partial(
                resized_crop, to_gpu(batch.frames), batch.boxes, SIZE, **options, out=to_gpu(batch.out)
            )
        if find_spec("torch"):
            import torch

            cpu["torch interpolate"] = _torch(batch, "cpu")
            if gpu and torch.cuda.is_available():
                on_gpu["torch interpolate"] = _torch(batch, "cuda")
            if find_spec("kornia"):
                cpu["Kornia"] = _kornia(batch, "cpu")
                if gpu and torch.cuda.is_available():
                    on_gpu["Kornia"] = _kornia(batch, "cuda")
        yield Case(
            label=f"{shape[0]} x {shape[2]}x{shape[1]}x{shape[3]}, {box[1]}x{box[0]}, {dtype}",
            count=CLIPS,
            num_bytes=CLIPS * shape[0] * shape[3] * box[0] * box[1] + batch.out.nbytes,
            cpu=cpu,
            gpu=on_gpu,
        )


FAMILIES = (
    Family(
        title="resized_crop, to 112x112",
        unit="µs a clip",
        per_second=1e6,
        threaded=True,
        cases=cases,
        note=(
            f"Batches of {CLIPS} clips of uint8, each with a box of its own of the size named second, half of them "
            "flipped, to normalised values, channels first. Boxes of 112x112 are copied, the others resized. torch "
            "goes clip by clip: slice, `permute`, `interpolate`, `flip`; then scale and offset in place on the batch. "
            "Kornia: `crop_and_resize` of all frames as float32, `hflip`, `normalize`."
        ),
    ),
)


def _batch(shape: tuple[int, ...], box: tuple[int, int], dtype: str) -> Batch:
    rng = np.random.default_rng(0)
    length, height, width, channels = shape
    places = np.stack([rng.integers(0, height - box[0] + 1, CLIPS), rng.integers(0, width - box[1] + 1, CLIPS)], axis=1)
    memory = np.zeros(CLIPS * channels * length * SIZE[0] * SIZE[1] + 64, dtype)
    out = memory[-memory.ctypes.data % 64 // memory.itemsize :]  # where torch's tensors begin, too
    return Batch(
        frames=rng.integers(0, 256, (CLIPS, *shape), np.uint8),
        boxes=np.concatenate([places, np.tile(box, (CLIPS, 1))], axis=1),
        flip=np.arange(CLIPS) % 2 == 0,
        scale=np.full(channels, 1 / 64),
        offset=np.full(channels, -2.0),
        out=out[: len(memory) - 64].reshape(CLIPS, channels, length, *SIZE),
    )


def _torch(batch: Batch, device: str) -> Callable[[], Any]:
    import torch
    from torch.nn.functional import interpolate

    frames, out = torch.from_numpy(batch.frames).to(device), torch.from_numpy(batch.out).to(device)
    scale, offset = (torch.from_numpy(numbers).to(out).view(1, -1, 1, 1, 1) for numbers in (batch.scale, batch.offset))
    boxes, flip = batch.boxes.tolist(), batch.flip.tolist()

    def call() -> None:
        with torch.inference_mode():
            for clip, (y, x, h, w), mirrored, goal in zip(frames, boxes, flip, out, strict=True):
                part = clip[:, y : y + h, x : x + w].permute(0, 3, 1, 2)
                if (h, w) != SIZE:
                    part = interpolate(part.float(), SIZE, mode="bilinear")
                goal.copy_((part.flip(3) if mirrored else part).transpose(0, 1))
            out.mul_(scale).add_(offset)

    return call


def _kornia(batch: Batch, device: str) -> Callable[[], Any]:
    import torch
    from kornia.enhance import normalize
    from kornia.geometry.transform import crop_and_resize, hflip

    frames = torch.from_numpy(batch.frames).to(device)
    length, dtype = frames.shape[1], torch.from_numpy(batch.out).dtype
    y, x, h, w = np.repeat(batch.boxes, length, axis=0).T
    corners = np.stack([[x, y], [x + w - 1, y], [x + w - 1, y + h - 1], [x, y + h - 1]]).transpose(2, 0, 1)
    boxes = torch.from_numpy(corners.astype(np.float32)).to(device)
    mean = torch.from_numpy(-batch.offset / batch.scale).float().to(device)
    std = torch.from_numpy(1 / batch.scale).float().to(device)
    flip = torch.from_numpy(batch.flip).to(device)

    def call() -> Any:
        with torch.inference_mode():
            pictures = frames.flatten(0, 1).permute(0, 3, 1, 2).float()
            parts = normalize(crop_and_resize(pictures, boxes, SIZE), mean, std).unflatten(0, (-1, length))
            parts[flip] = hflip(parts[flip])
            return parts.transpose(1, 2).to(dtype).contiguous()

    return call
