"""Grey frames and quantised motion on the CPU, against the same in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from vidprep.kernels.cpu.grey import grey_cpu
from vidprep.kernels.cpu.quantise import quantise_cpu


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 7), (3, 33, 70)])
def test_grey_is_exact(shape: tuple[int, ...]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    frames[0, 0, 0] = 255
    for given in (frames, frames[:, ::-1, ::2]):
        grey = np.empty(given.shape[:3], np.float32)
        grey_cpu(given, (77, 150, 29), grey)
        np.testing.assert_array_equal(grey, (given.astype(np.float64) @ [77, 150, 29]) / 256)


@pytest.mark.parametrize(("dtype", "zero", "limits"), [(np.uint8, 128, (1, 255)), (np.int8, 0, (-127, 127))])
def test_quantises_to_the_nearest_step(dtype: type, zero: int, limits: tuple[int, int]) -> None:
    factor = np.float32(6.35)
    values = np.random.default_rng(1).normal(0, 12, (3, 9, 21, 2)).astype(np.float32)
    values.flat[:6] = [0, -0.0, 1e9, -1e9, 3e38, -3e38]
    values.flat[6:10] = np.array([0.5, 1.5, -0.5, -2.5]) / 6.35
    out = np.empty(values.shape, dtype)
    quantise_cpu(values[::-1], float(factor), zero, limits, out)
    steps = np.rint(np.maximum(values[::-1], np.float32(-1e9)).clip(-1e9, 1e9) * factor)
    np.testing.assert_array_equal(out, (steps + np.float32(zero)).clip(*limits))
