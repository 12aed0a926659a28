"""Features of frames by the first layer of a trained network, run in torch at every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels._backend import is_cupy
from ..kernels.cpu._threads import run_tasks
from .first_layer import FirstLayer


def conv_features(frames: Any, layer: FirstLayer) -> Any:
    """Apply a layer to frames, with stride 1.

    The features of a frame have the same bits whatever the number of threads and the frames around it: each frame is
    computed by itself, on a CPU by one thread, several frames side by side.

    Parameters
    ----------
    frames
        ``(T, H, W, 3)`` uint8 RGB, NumPy or CuPy.
    layer
        What to apply.

    Returns
    -------
    array
        ``(T, H, W, layer.channels)`` float32, at least 0. Beyond its border a frame is of the mean colour.
    """
    if is_cupy(frames):
        return _on_gpu(frames, layer)
    import torch

    frames = np.ascontiguousarray(frames)
    out: NDArray[np.float32] = np.empty((*frames.shape[:3], layer.channels), np.float32)
    before = torch.get_num_threads()
    network = _Network(layer, "cpu")

    def work(i: int) -> None:
        torch.set_num_threads(1)  # of the calling thread
        network.apply(torch.from_numpy(frames[i : i + 1]), torch.from_numpy(out[i : i + 1]))

    try:
        run_tasks(work, len(frames))
    finally:
        torch.set_num_threads(before)
    return out


def _on_gpu(frames: Any, layer: FirstLayer) -> Any:
    """As ``conv_features``, on the frames' device and CuPy's current stream."""
    import cupy
    import torch

    with cupy.cuda.Device(frames.device):
        out = cupy.empty((*frames.shape[:3], layer.channels), np.float32)
        device, pointer = frames.device.id, cupy.cuda.get_current_stream().ptr
        # Of the null pointer ExternalStream would make a stream of its own, which CuPy would not wait for.
        stream = torch.cuda.ExternalStream(pointer, device) if pointer else torch.cuda.default_stream(device)
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.cuda.stream(stream), exact:
            network = _Network(layer, f"cuda:{device}")
            first, second = torch.from_dlpack(cupy.ascontiguousarray(frames)), torch.from_dlpack(out)
            for i in range(len(frames)):
                network.apply(first[i : i + 1], second[i : i + 1])
    return out


class _Network:
    """A layer on a device of torch."""

    def __init__(self, layer: FirstLayer, device: str) -> None:
        import torch

        # red, green and blue to what the layer was trained on: colours * gain + offset
        std = np.array(layer.std)
        gain, offset = 1 / (255 * std), -np.array(layer.mean) / std
        self._gain, self._offset = (
            torch.tensor(numbers, dtype=torch.float32, device=device).view(1, 3, 1, 1) for numbers in (gain, offset)
        )
        self._weight = torch.tensor(layer.weight, device=device).contiguous(memory_format=torch.channels_last)
        self._bias = torch.tensor(layer.bias, device=device)
        height, width = layer.weight.shape[2:]
        left, right, above, below = (width - 1) // 2, width // 2, (height - 1) // 2, height // 2
        self._even = (left, right, above, below) if (left, above) != (right, below) else None
        self._padding = (0, 0) if self._even else (above, left)

    def apply(self, frames: Any, out: Any) -> None:
        """From ``(N, H, W, 3)`` uint8 to ``(N, H, W, channels)`` float32, both contiguous."""
        import torch
        from torch.nn.functional import conv2d, pad

        with torch.inference_mode():
            colours = frames.permute(0, 3, 1, 2).to(torch.float32)  # keeps its order in memory, channels last
            colours.mul_(self._gain).add_(self._offset)
            if self._even:
                colours = pad(colours, self._even)
            features = conv2d(colours, self._weight, self._bias, padding=self._padding)
            torch.clamp_min(features, 0, out=out.permute(0, 3, 1, 2))
