"""TV-L1 flow beside optical flow of others. How good they are is the question of ``flow_accuracy.py``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import Any
from unittest import mock

import numpy as np
from clips import find_footage, read_pictures
from middlebury import BESIDE, read_sequences

from vidprep.kernels import tvl1_flow, tvl1_flow_of_clip
from vidprep.kernels.cpu import tvl1 as tvl1_on_cpu
from vidprep.kernels.cpu import tvl1_levels
from vidprep.kernels.cpu._threads import set_num_threads

from .case import OURS, Case, Family, to_gpu

PAIR_SIZE = (480, 640)
CLIP_SIZE, CLIP_FRAMES = (128, 170), 17
# Of an iteration at a pixel, by its equations (kernels/cpu/tvl1_solver.py): threshold step 10, divergences and u 10,
# gradients, their lengths and the dual step 30; a root and an inverse count as one each.
_ITERATION_OPS = 50


def tvl1_cases(gpu: bool) -> Iterator[Case]:
    """One pair, and a clip whose pairs share their frames."""
    name, pair = _pair()
    for label, frames in ((name, pair), (f"clip of {CLIP_FRAMES} frames, 170x128", _clip())):
        for preset in ("fast", "accurate"):
            first, second = frames[:-1], frames[1:]
            ours = partial(_ours, frames, preset)
            cpu: dict[str, Callable[[], Any]] = {OURS: ours}
            on_gpu: dict[str, Callable[[], Any]] = {}
            if preset == "fast":
                cpu.update(_peers(first, second))
            if gpu:
                on_gpu[OURS] = partial(_ours, to_gpu(frames), preset)
                if preset == "fast":
                    on_gpu.update(_gpu_peers(first, second))
            yield Case(
                label=f"{label}, {preset}",
                count=len(first),
                num_bytes=frames.nbytes + 8 * first.size,
                num_ops=_ITERATION_OPS * _pixel_iterations(ours),
                cpu=cpu,
                gpu=on_gpu,
            )


FAMILIES = (
    Family(
        title="tvl1_flow",
        unit="ms a pair",
        per_second=1e3,
        threaded=True,
        cases=tvl1_cases,
        note="The floor counts the operations of the iterations that were made, and nothing else. Peers have their "
        "defaults; scikit-image is NumPy and uses one core.",
    ),
)


def _ours(frames: Any, preset: str) -> Any:
    return tvl1_flow(frames[:1], frames[1:], preset) if len(frames) == 2 else tvl1_flow_of_clip(frames, 1, preset)


def _pixel_iterations(call: Callable[[], Any]) -> int:
    """Count iterations times pixels: convergence decides how many there are."""
    counts = []

    def counted(team: Any, threads: int, plan: Any, *rest: Any) -> None:
        for step in tvl1_levels._steps.py_func(plan, rest[0], threads):
            kind, level, _, number, _, parts = step
            assert parts == 1
            if kind == tvl1_levels._ITERATE:
                counts.append(int(plan.sizes[level].prod()) * number)
            if kind != tvl1_levels._ITERATE_BETWEEN:
                tvl1_levels._do_part(step, 0, plan, *rest)

    set_num_threads(1)
    try:
        with mock.patch.object(tvl1_on_cpu, "solve", counted):
            call()
    finally:
        set_num_threads(None)
    return sum(counts)


def _pair() -> tuple[str, Any]:
    """Return two gray frames of Middlebury's, or of footage."""
    if BESIDE.is_dir():
        for sequence in read_sequences(BESIDE):
            if sequence.frame0.shape == PAIR_SIZE:
                return f"{sequence.name}, 640x480", np.stack([sequence.frame0, sequence.frame1])
    return "footage, 640x480", _footage(PAIR_SIZE, 2)


def _clip() -> Any:
    return _footage(CLIP_SIZE, CLIP_FRAMES)


def _footage(size: tuple[int, int], count: int) -> Any:
    path = find_footage(None)[0].path
    return np.stack([picture.to_ndarray()[: size[0]] for picture in islice(read_pictures(path, size), count)])


def _peers(first: Any, second: Any) -> dict[str, Callable[[], Any]]:
    pairs = list(zip(first, second, strict=True))
    found: dict[str, Callable[[], Any]] = {}
    if find_spec("cv2"):
        import cv2

        if hasattr(cv2, "optflow"):  # only in the builds named contrib
            tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
            found["OpenCV DualTVL1"] = lambda: [tvl1.calc(*pair, None) for pair in pairs]
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        found["OpenCV DIS, medium"] = lambda: [dis.calc(*pair, None) for pair in pairs]
        settings = (None, 0.5, 3, 15, 3, 5, 1.2, 0)  # of OpenCV's own tutorial
        found["OpenCV Farneback"] = lambda: [cv2.calcOpticalFlowFarneback(*pair, *settings) for pair in pairs]
    if find_spec("skimage"):
        from skimage.registration import optical_flow_tvl1

        found["scikit-image tvl1"] = lambda: [optical_flow_tvl1(*pair) for pair in pairs]
    return found


def _gpu_peers(first: Any, second: Any) -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {}
    if find_spec("cucim"):
        from cucim.skimage.registration import optical_flow_tvl1

        pairs = [(to_gpu(a), to_gpu(b)) for a, b in zip(first, second, strict=True)]
        found["cuCIM tvl1"] = lambda: [optical_flow_tvl1(*pair) for pair in pairs]
    if find_spec("nvidia") and find_spec("nvidia.dali"):
        try:
            found["DALI optical_flow"] = _dali_pipeline(first, second).run
        except RuntimeError as error:  # of GPUs without such an engine
            print(f"without DALI's optical flow: {error}", file=sys.stderr)
    return found


def _dali_pipeline(first: Any, second: Any) -> Any:
    """Return a pipeline whose ``run`` has the GPU's own flow engine estimate every pair, a vector for 4x4 pixels.

    It uploads the frames each time.
    """
    from nvidia.dali import fn, pipeline_def

    sequences = [np.repeat(np.stack(pair)[..., None], 3, axis=-1) for pair in zip(first, second, strict=True)]

    @pipeline_def(batch_size=len(sequences), num_threads=1, device_id=0, prefetch_queue_depth=1)  # type: ignore[untyped-decorator]
    def flow() -> Any:
        frames = fn.external_source(source=lambda: sequences, batch=True, layout="FHWC")
        return fn.optical_flow(frames.gpu(), output_grid=4)

    pipeline = flow()
    pipeline.build()
    return pipeline
