"""Where kernel tests run: the same test, through the public functions, on every device that this machine has.

``cpu``: NumPy arrays. ``host``: CuPy's stand-in, so the CUDA path and the CUDA sources, run by the C++ compiler.
``cuda``: CuPy on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cuda_host.compile import compiler
from cuda_host.cupy_standin import cupy_on_the_cpu

Run = Callable[..., np.ndarray]


def skip_or_fail(reason: str, *, required: bool) -> None:
    """Skip a test that cannot run here, or fail it where the environment promises that it can."""
    if required:
        pytest.fail(reason)
    pytest.skip(reason)


def need_compiler() -> None:
    """Skip without a C++ compiler; on CI that is a failure."""
    if compiler() is None:
        skip_or_fail("no C++ compiler (g++) to run the CUDA sources with", required=os.environ.get("CI") == "true")


def need_gpu() -> Any:
    """Return CuPy; skip without it or without a GPU, unless ``VIDPREP_REQUIRE_GPU=1`` makes that a failure."""
    required = os.environ.get("VIDPREP_REQUIRE_GPU") == "1"
    try:
        import cupy
    except ImportError as error:
        skip_or_fail(f"CuPy is not installed: {error}", required=required)
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        skip_or_fail(f"no GPU: {error}", required=required)
    if count == 0:
        skip_or_fail("no GPU", required=required)
    return cupy


def _on_cpu(function: Callable[..., Any], *args: Any, **kwargs: Any) -> np.ndarray:
    return function(*args, **kwargs)


def _on_host(function: Callable[..., Any], *args: Any, **kwargs: Any) -> np.ndarray:
    with cupy_on_the_cpu() as cupy:
        return _moved(cupy, function, *args, **kwargs)


def _on_cuda(function: Callable[..., Any], *args: Any, **kwargs: Any) -> np.ndarray:
    import cupy

    return _moved(cupy, function, *args, **kwargs)


def _moved(cupy: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> np.ndarray:
    result = function(*(cupy.asarray(arg) if isinstance(arg, np.ndarray) else arg for arg in args), **kwargs)
    assert isinstance(result, cupy.ndarray), "a CUDA kernel must return a CuPy array"
    return result.get()


def executor(name: str) -> Run:
    """Return ``run(function, *args)``: moves NumPy arguments to the device, calls, and brings the result back."""
    if name == "host":
        need_compiler()
    if name == "cuda":
        need_gpu()
    return {"cpu": _on_cpu, "host": _on_host, "cuda": _on_cuda}[name]
