"""Features by the first layer of a network: the definition, and that nothing but the frame decides their bits."""

from __future__ import annotations

import numpy as np
import pytest

from executors import need_gpu
from vidprep.kernels.cpu._threads import set_num_threads
from vidprep.pipeline.conv_features import conv_features
from vidprep.pipeline.first_layer import FirstLayer

torch = pytest.importorskip("torch", reason="torch is not installed")


def random_layer(channels: int = 5, height: int = 7, width: int = 7) -> FirstLayer:
    rng = np.random.default_rng(channels)
    return FirstLayer(
        weight=rng.normal(0, 0.1, (channels, 3, height, width)).astype(np.float32),
        bias=rng.normal(0, 0.1, channels).astype(np.float32),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
    )


def random_frames(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)


def reference(frames: np.ndarray, layer: FirstLayer) -> np.ndarray:
    colours = (frames.astype(np.float64) / 255 - layer.mean) / layer.std
    height, width = layer.weight.shape[2:]
    above, left = (height - 1) // 2, (width - 1) // 2
    padded = np.pad(colours, ((0, 0), (above, height // 2), (left, width // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return np.maximum(0, np.einsum("nhwcij,ocij->nhwo", windows, layer.weight.astype(np.float64)) + layer.bias)


@pytest.mark.parametrize("kernel", [(7, 7), (3, 3), (1, 1), (4, 4), (2, 5)])
@pytest.mark.parametrize("shape", [(3, 17, 22), (1, 1, 1), (2, 1, 9), (1, 9, 1)])
def test_equals_the_definition(shape: tuple[int, ...], kernel: tuple[int, int]) -> None:
    frames, layer = random_frames(*shape), random_layer(5, *kernel)
    features = conv_features(frames, layer)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    np.testing.assert_allclose(features, reference(frames, layer), atol=2e-5)


def test_neither_threads_nor_other_frames_change_a_bit() -> None:
    frames, layer = random_frames(7, 40, 56), random_layer(64)
    before = torch.get_num_threads()
    try:
        set_num_threads(1)
        whole = conv_features(frames, layer)
        set_num_threads(3)
        torch.set_num_threads(2)
        np.testing.assert_array_equal(conv_features(frames, layer), whole)
        np.testing.assert_array_equal(conv_features(frames[2:4], layer), whole[2:4])
        np.testing.assert_array_equal(conv_features(frames[::-2], layer), whole[::-2])
        assert torch.get_num_threads() == 2
    finally:
        set_num_threads(None)
        torch.set_num_threads(before)


def test_a_gpu_finds_the_same() -> None:
    cupy = need_gpu()
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    frames, layer = random_frames(3, 33, 47), random_layer(16)
    for stream in (cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)):
        with stream:
            features = conv_features(cupy.asarray(frames), layer)
            assert isinstance(features, cupy.ndarray)
        stream.synchronize()
        np.testing.assert_allclose(features.get(), reference(frames, layer), atol=2e-5)
