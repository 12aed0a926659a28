"""What the CUDA side of resized crops adds to the definition: a grid that strides, and stores side by side."""

from __future__ import annotations

import re

import numpy as np
import pytest

from executors import Run, executor
from vidprep.kernels import resized_crop
from vidprep.kernels.cuda import resized_crop as on_cuda
from vidprep.kernels.cuda.loader import source_text


@pytest.fixture(params=["host", "cuda"], scope="module")
def run_cuda(request: pytest.FixtureRequest) -> Run:
    return executor(request.param)


# More clips than blocks, more frames than threads take, more pixels than a block has.
@pytest.mark.parametrize("most", [1, 2, 65535])
@pytest.mark.parametrize("length", [1, 4, 5, 13])
def test_the_grid_strides_over_clips_and_frames(
    run_cuda: Run, monkeypatch: pytest.MonkeyPatch, length: int, most: int
) -> None:
    monkeypatch.setattr(on_cuda, "_MAX_GRID", most)
    clips = np.random.default_rng(0).integers(0, 256, (5, length, 23, 31, 3), np.uint8)
    boxes = np.array([[0, 0, 23, 31], [1, 2, 17, 19], [0.5, 3, 20, 20], [5, 5, 3, 3], [6, 12, 17, 19]])
    flip = np.array([True, False, False, True, True])
    result = run_cuda(resized_crop, clips, boxes, (17, 19), flip=flip)
    np.testing.assert_array_equal(result, resized_crop(clips, boxes, (17, 19), flip=flip))


def test_host_and_device_agree_on_the_frames_of_a_thread() -> None:
    text = source_text("resized_crop", {"SAMPLE": "uint8", "RESULT": "float"})
    assert re.search(r"constexpr int FRAMES = (\d+);", text)[1] == str(on_cuda._FRAMES)
