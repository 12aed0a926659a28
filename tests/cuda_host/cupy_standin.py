"""The few names of CuPy that ``vidprep.kernels.cuda`` and extraction use, with a CPU as the device: test code.

With it in ``sys.modules`` the public functions take their CUDA path on a machine without a GPU: the same dispatch,
memoisation, launch geometry and arguments, and the same ``.cu`` text, compiled by the C++ compiler.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .compile import GARBAGE, HostModule, compile_text


class Device:
    """The only device, numbered unlike any real one, so that nothing memoised for it is taken for a GPU's."""

    id = -1

    def __init__(self, device: Any = None) -> None:
        assert device is None or isinstance(device, Device | int)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Stream:
    """Everything has always been done."""

    def synchronize(self) -> None:
        pass


class ndarray(np.ndarray):
    """A NumPy array that ``vidprep.kernels`` takes for CuPy's."""

    @property
    def device(self) -> Device:  # type: ignore[override]
        return Device()

    def get(self) -> np.ndarray:
        return np.array(self)


ndarray.__module__ = "cupy"


def asarray(array: Any, dtype: Any = None) -> ndarray:
    return np.array(array, dtype, order="C").view(ndarray)


def ascontiguousarray(array: ndarray) -> ndarray:
    return np.ascontiguousarray(array).view(ndarray)


def empty(shape: Any, dtype: Any = np.float64) -> ndarray:
    """Return garbage, so that what a kernel leaves unwritten shows."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = GARBAGE
    return array.view(ndarray)


def zeros(shape: Any, dtype: Any = np.float64) -> ndarray:
    return np.zeros(shape, dtype).view(ndarray)


def asnumpy(array: ndarray) -> np.ndarray:
    return array.get()


class RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...], backend: str) -> None:
        assert options == ("--std=c++17",)
        assert backend == "nvrtc"
        self.module: HostModule = compile_text(code)

    def get_function(self, name: str) -> Any:
        def kernel(grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
            plain = [arg.view(np.ndarray) if isinstance(arg, np.ndarray) else arg for arg in args]
            self.module.launch(name, grid, block, plain, shared_mem)

        return kernel


def _module() -> ModuleType:
    cupy = ModuleType("cupy")
    cuda = ModuleType("cupy.cuda")
    for name, value in (("Device", Device), ("Stream", Stream), ("get_current_stream", Stream)):
        setattr(cuda, name, value)
    for value in (ndarray, asarray, ascontiguousarray, asnumpy, empty, zeros, RawModule):
        setattr(cupy, value.__name__, value)
    cupy.cuda = cuda  # type: ignore[attr-defined]
    return cupy


_CUPY = _module()


@contextmanager
def cupy_on_the_cpu() -> Iterator[ModuleType]:
    """Make ``import cupy`` find the stand-in."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(sys.modules, "cupy", _CUPY)
        yield _CUPY
