"""Where decode and kernels run: ``cpu``, or ``cuda:N``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels._backend import is_cupy
from .errors import MissingExtraError, UsageError
from .option_names import option


def resolve_devices(device: str) -> tuple[str, ...]:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into the devices to use: ``("cpu",)`` or ``("cuda:0", ...)``.

    ``auto`` takes every GPU that CuPy sees, else the CPU; ``cuda`` every GPU, or an error.
    """
    if device == "cpu":
        return ("cpu",)
    match = re.fullmatch(r"auto|cuda(?::([0-9]{1,9}))?", device) if isinstance(device, str) else None
    if match is None:
        raise UsageError(f"{option('device')} must be auto, cpu, cuda or cuda:N, got {device!r}")
    num_gpus, problem = count_gpus()
    if device == "auto":
        return tuple(f"cuda:{i}" for i in range(num_gpus)) or ("cpu",)
    if problem.startswith("CuPy"):
        raise MissingExtraError(f'{problem}: pip install "vidprep[cuda13]", or use --device cpu')
    if num_gpus == 0:
        raise UsageError(f"no GPU can be used ({problem}): use --device cpu, and vidprep doctor to find out more")
    if match[1] is None:
        return tuple(f"cuda:{i}" for i in range(num_gpus))
    if int(match[1]) >= num_gpus:
        there = f"this machine has {num_gpus}, numbered from 0"
        raise UsageError(f"there is no GPU {match[1]}: {there}; choose another {option('device')}")
    return (f"cuda:{int(match[1])}",)


def count_gpus() -> tuple[int, str]:
    """Return how many GPUs CuPy sees and, where it is none, why."""
    try:
        import cupy
    except ImportError:
        return 0, "CuPy is not installed"
    try:
        return int(cupy.cuda.runtime.getDeviceCount()), ""
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return 0, str(error)


def use_device(device: str) -> None:
    """Make ``device`` this process's current one."""
    if device != "cpu":
        import cupy

        cupy.cuda.Device(int(device.partition(":")[2])).use()


def to_host(array: Any) -> NDArray[Any]:
    """Return ``array`` as a C-contiguous NumPy array, waiting for the device if it is on one."""
    if is_cupy(array):
        import cupy

        return np.ascontiguousarray(cupy.asnumpy(array))
    return np.ascontiguousarray(array)
