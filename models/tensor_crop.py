"""The kernel for resized crops on tensors of torch: on their device, their memory and torch's current stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import resized_crop
from ..pipeline.errors import UsageError
from .torch_extra import import_torch

_TYPES = ("uint8", "int8", "float16", "float32")


def crop_tensor(
    frames: Any,
    boxes: NDArray[Any],
    size: tuple[int, int],
    *,
    flip: NDArray[np.bool_],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    dtype: str,
    out: Any = None,
) -> Any:
    """``kernels.resized_crop`` of a tensor.

    Parameters
    ----------
    frames
        ``(N, T, H, W, C)`` uint8, int8, float16 or float32, on a CPU (pinned, too) or a CUDA device, with any strides.
    boxes, size, flip, scale, offset
        As for the kernel, in NumPy arrays.
    dtype
        ``"float32"`` or ``"float16"``.
    out
        Where to write, a contiguous tensor on the same device; a new one by default.

    Returns
    -------
    torch.Tensor
        ``(N, C, T, h, w)``, without a gradient.

    Raises
    ------
    UsageError
        If frames are of another type or on another device, or ``out`` does not fit.
    ImportError
        If the frames are on a CUDA device and CuPy is not installed; the message names the extra.
    """
    torch = import_torch("augmentations")
    if not isinstance(frames, torch.Tensor):
        raise UsageError(f"frames must be a tensor, got {type(frames).__name__}: torch.from_numpy makes one")
    given = str(frames.dtype).removeprefix("torch.")
    if given not in _TYPES:
        raise UsageError(f"frames must be uint8, int8, float16 or float32, as caches store them, got {given}")
    if frames.ndim != 5 or 0 in frames.shape:
        raise UsageError(f"frames must be (N, T, H, W, C), none of them 0, got shape {tuple(frames.shape)}")
    if frames.device.type not in ("cpu", "cuda"):
        raise UsageError(f"frames must be on the CPU or a CUDA device, got {frames.device}")
    clips, length, _, _, channels = frames.shape
    shape = (clips, channels, length, *size)
    if out is None:
        out = torch.empty(shape, dtype=getattr(torch, dtype), device=frames.device)
    elif (tuple(out.shape), str(out.dtype), out.device) != (shape, f"torch.{dtype}", frames.device) or not (
        out.is_contiguous()
    ):
        raise UsageError(
            f"out must be a contiguous {shape} {dtype} tensor on {frames.device}, got {tuple(out.shape)} "
            f"{str(out.dtype).removeprefix('torch.')} on {out.device}"
        )
    arguments = {"flip": flip, "scale": scale, "offset": offset, "dtype": dtype}
    if frames.device.type == "cpu":
        resized_crop(frames.detach().numpy(), boxes, size, **arguments, out=out.detach().numpy())
    else:
        _crop_on_gpu(frames.detach(), boxes, size, arguments, out.detach())
    return out


def _crop_on_gpu(frames: Any, boxes: NDArray[Any], size: tuple[int, int], arguments: dict[str, Any], out: Any) -> None:
    from ..kernels.cuda.loader import require_cupy

    cupy, torch = require_cupy(), import_torch("augmentations")
    device = frames.device.index
    pointer = torch.cuda.current_stream(device).cuda_stream
    # A tensor that `contiguous` makes is given back to torch before the kernel is done; whoever gets its memory next
    # works on the same stream, after it.
    with cupy.cuda.Device(device):
        stream = cupy.cuda.ExternalStream(pointer) if pointer else cupy.cuda.Stream.null
        with stream:
            arrays = [cupy.from_dlpack(tensor) for tensor in (frames.contiguous(), out)]
            resized_crop(arrays[0], boxes, size, **arguments, out=arrays[1])
