"""Kernels on one core, beside their floor and their peers, over the picture sizes that videos have.

The floor of a kernel is the time to copy as many bytes as it has to read and write at the least, each input and
output once, measured in the same run: a copy of half their sum, which reads one half and writes the other. Contenders
take turns. Where there is a GPU, its times come from CUDA events.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from report import option_parser, publish, table

from vidprep.kernels import YuvFormat, residual, yuv_to_rgb
from vidprep.kernels.cpu.yuv import FrameConverter
from vidprep.pipeline.devices import count_gpus

SIZES = ((128, 170), (256, 340), (360, 480), (720, 1280), (1080, 1920))
OUT_SIZE = (128, 170)
NUM_FRAMES = 16
OURS = "vidprep"
FLOOR = "floor"
_GPU_CALLS = 20

Calls = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: a kernel on one input.

    Parameters
    ----------
    label
        Of the row.
    num_bytes
        What must be read and written at the least.
    cpu
        What to time on the CPU, by column; ``OURS`` among them. They write into arrays made before, where
        they can.
    gpu
        The same on the GPU; empty without one.
    """

    label: str
    num_bytes: int
    cpu: Calls
    gpu: Calls = field(default_factory=dict)


def residual_cases(gpu: bool) -> Iterator[Case]:
    """Residual frames of three kinds; bytes: every frame in once, every difference out once."""
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
            on_gpu = {OURS: partial(residual, _to_gpu(frames), 1, signed, out=_to_gpu(out))} if gpu else {}
            num_bytes = frames.nbytes + out.nbytes
            yield Case(label=f"{width}x{height}, {kind}", num_bytes=num_bytes, cpu=cpu, gpu=on_gpu)


def yuv_cases(gpu: bool) -> Iterator[Case]:
    """YUV 4:2:0 to RGB of 170x128; bytes: every plane in once, every frame out once."""
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
        on_gpu = {OURS: partial(yuv_to_rgb, *map(_to_gpu, (y, u, v)), OUT_SIZE, YuvFormat())} if gpu else {}
        num_bytes = packed.nbytes + NUM_FRAMES * OUT_SIZE[0] * OUT_SIZE[1] * 3
        yield Case(label=f"{width}x{height}", num_bytes=num_bytes, cpu=cpu, gpu=on_gpu)


KERNELS: dict[str, Callable[[bool], Iterator[Case]]] = {
    "residual": residual_cases,
    "yuv_to_rgb, to 170x128": yuv_cases,
}


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds, of which least and median are shown [25; quick: 3]")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 25)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
    gpu = count_gpus()[0] > 0
    body = [f"Microseconds a frame, {NUM_FRAMES} frames a call: least (median) of {rounds} rounds, one thread.\n"]
    for name, cases in KERNELS.items():
        body += [f"## {name}\n", _table([_row(case, rounds) for case in cases(gpu)]), ""]
    publish("kernels", "Kernels beside floors and peers", "\n".join(body), write=options.write)


Row = tuple[str, dict[str, list[float]]]  # label; seconds of each round, by column


def _row(case: Case, rounds: int) -> Row:
    source = np.ones(case.num_bytes // 2, np.uint8)
    target = np.empty_like(source)
    calls = {FLOOR: lambda: np.copyto(target, source), **case.cpu}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    if case.gpu:
        import cupy

        device_source = cupy.ones(case.num_bytes // 2, cupy.uint8)
        device_target = cupy.empty_like(device_source)
        on_gpu = {FLOOR: lambda: cupy.copyto(device_target, device_source), **case.gpu}
        for name, call in on_gpu.items():
            seconds[f"GPU {name}"] = _event_seconds(call, rounds + 1)
    return case.label, {name: values[1:] for name, values in seconds.items()}  # the first round warms up


def _event_seconds(call: Callable[[], Any], rounds: int) -> list[float]:
    """Time ``call`` on the GPU; several calls in a row, so that the GPU and not the launching of kernels is timed."""
    import cupy

    seconds = []
    for _ in range(rounds):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for _ in range(_GPU_CALLS):
            call()
        stop.record()
        stop.synchronize()
        seconds.append(cupy.cuda.get_elapsed_time(start, stop) / 1e3 / _GPU_CALLS)
    return seconds


def _table(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for _, seconds in rows for name in seconds))

    def cell(seconds: dict[str, list[float]], name: str) -> str:
        if name not in seconds:
            return ""
        scale = 1e6 / NUM_FRAMES
        return f"{min(seconds[name]) * scale:,.1f} ({statistics.median(seconds[name]) * scale:,.1f})"

    def of_floor(seconds: dict[str, list[float]]) -> str:
        return f"{min(seconds[OURS]) / min(seconds[FLOOR]):.1f}"

    lines = [(label, of_floor(seconds), *(cell(seconds, name) for name in columns)) for label, seconds in rows]
    return table(("input", f"{OURS} / floor", *columns), lines)


def _to_gpu(array: Any) -> Any:
    import cupy

    return cupy.asarray(array)


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


if __name__ == "__main__":
    main()
