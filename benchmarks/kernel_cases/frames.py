"""Residual frames, and frames from a decoder's planes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from vidprep.kernels import YuvFormat, residual, yuv_to_rgb
from vidprep.kernels.cpu.yuv import FrameConverter

from .case import OURS, Case, Family, to_gpu

SIZES = ((128, 170), (256, 340), (360, 480), (720, 1280), (1080, 1920))
OUT_SIZE = (128, 170)
NUM_FRAMES = 16


def residual_cases(gpu: bool) -> Iterator[Case]:
    """Residual frames of three kinds."""
    for height, width in SIZES:
        pixels = np.random.default_rng(0).integers(0, 256, (NUM_FRAMES, height, width, 3), np.uint8)
        for kind, signed, frames in (
            ("uint8", False, pixels),
            ("uint8 to int16", True, pixels),
            ("float32", False, pixels.astype(np.float32)),
        ):
            out = np.zeros(frames[1:].shape, np.int16 if signed else frames.dtype)
            cpu = {
                OURS: partial(residual, frames, 1, signed, out=out),
                "NumPy": partial(_numpy_residual, frames, signed),
            }
            if find_spec("cv2") and not signed:
                cpu["OpenCV absdiff"] = partial(_opencv_residual, frames, out)
            on_gpu = {OURS: partial(residual, to_gpu(frames), 1, signed, out=to_gpu(out))} if gpu else {}
            yield Case(
                label=f"{width}x{height}, {kind}",
                count=NUM_FRAMES,
                num_bytes=frames.nbytes + out.nbytes,
                cpu=cpu,
                gpu=on_gpu,
            )


def yuv_cases(gpu: bool) -> Iterator[Case]:
    """YUV 4:2:0 to RGB of 170x128."""
    for height, width in SIZES[1:]:
        rng = np.random.default_rng(0)
        y = rng.integers(16, 236, (NUM_FRAMES, height, width), np.uint8)
        u, v = rng.integers(16, 241, (2, NUM_FRAMES, height // 2, width // 2), np.uint8)
        converter = FrameConverter((height, width), OUT_SIZE, YuvFormat())
        cpu: dict[str, Callable[[], Any]] = {
            OURS: partial(_convert, converter, y, u, v),
            "yuv_to_rgb": partial(yuv_to_rgb, y, u, v, OUT_SIZE, YuvFormat()),
        }
        packed = np.concatenate([plane.reshape(NUM_FRAMES, -1) for plane in (y, u, v)], 1)
        packed = packed.reshape(NUM_FRAMES, height * 3 // 2, width)
        for name in ("BILINEAR", "AREA"):
            cpu[f"swscale {name.lower()}"] = _swscale(packed, name)
        if find_spec("cv2"):
            cpu["OpenCV linear"] = partial(_opencv_yuv, packed, "INTER_LINEAR")
            cpu["OpenCV area"] = partial(_opencv_yuv, packed, "INTER_AREA")
        on_gpu = {OURS: partial(yuv_to_rgb, *map(to_gpu, (y, u, v)), OUT_SIZE, YuvFormat())} if gpu else {}
        num_bytes = packed.nbytes + NUM_FRAMES * OUT_SIZE[0] * OUT_SIZE[1] * 3
        yield Case(label=f"{width}x{height}", count=NUM_FRAMES, num_bytes=num_bytes, cpu=cpu, gpu=on_gpu)


FAMILIES = (
    Family(title="residual", unit="µs a frame", per_second=1e6, threaded=False, cases=residual_cases),
    Family(title="yuv_to_rgb, to 170x128", unit="µs a frame", per_second=1e6, threaded=False, cases=yuv_cases),
)


def _numpy_residual(frames: Any, signed: bool) -> Any:
    if frames.dtype == np.float32:
        return np.abs(frames[1:] - frames[:-1])
    difference = frames[1:].astype(np.int16) - frames[:-1]
    return difference if signed else np.abs(difference).astype(np.uint8)


def _opencv_residual(frames: Any, out: Any) -> Any:
    import cv2

    flat = frames.reshape(len(frames), -1)
    return cv2.absdiff(flat[1:], flat[:-1], dst=out.reshape(len(out), -1))


def _convert(converter: FrameConverter, y: Any, u: Any, v: Any) -> Any:
    out = np.empty((NUM_FRAMES, *OUT_SIZE, 3), np.uint8)
    for t in range(NUM_FRAMES):
        converter(*((plane[t].ctypes.data, plane.strides[1]) for plane in (y, u, v)), out[t])
    return out


def _opencv_yuv(packed: Any, interpolation: str) -> Any:
    import cv2

    size, flag = OUT_SIZE[::-1], getattr(cv2, interpolation)
    return [cv2.resize(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), size, interpolation=flag) for picture in packed]


def _swscale(packed: Any, interpolation: str) -> Callable[[], Any]:
    import av
    from av.video.reformatter import VideoReformatter

    pictures = [av.VideoFrame.from_ndarray(picture, format="yuv420p") for picture in packed]
    height, width = OUT_SIZE
    to_rgb = partial(
        VideoReformatter().reformat,  # one for all pictures, so that its tables are made once
        width=width,
        height=height,
        format="rgb24",
        interpolation=interpolation,
        threads=1,
    )
    return lambda: [to_rgb(picture) for picture in pictures]
