"""Which device an array lives on. A backend is only imported when an array of its kind turns up."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_cupy(array: Any) -> bool:
    """Whether ``array`` is a CuPy array, decided without importing CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def is_read_only(array: Any) -> bool:
    """Whether writing to ``array`` is forbidden; it never is on a GPU."""
    return isinstance(array, np.ndarray) and not array.flags.writeable


def share_memory(first: Any, second: Any) -> bool:
    """Whether two arrays of one kind may have bytes in common."""
    if isinstance(first, np.ndarray):
        return np.may_share_memory(first, second)
    import cupy

    return bool(cupy.may_share_memory(first, second))


def common_backend(**arrays: Any) -> str:
    """Return ``"cpu"`` or ``"cuda"`` for named arrays that must all live on the same kind of device.

    Raises
    ------
    TypeError
        If one is neither a NumPy nor a CuPy array, or they are mixed.
    """
    if all(type(array) is np.ndarray for array in arrays.values()):  # the usual case, in few steps
        return "cpu"
    kinds = {}
    for name, array in arrays.items():
        if is_cupy(array):
            kinds[name] = "cuda"
        elif isinstance(array, np.ndarray):
            kinds[name] = "cpu"
        else:
            raise TypeError(f"{name} must be a NumPy or CuPy array, got {type(array).__name__}")
    if len(set(kinds.values())) > 1:
        raise TypeError(f"arrays must all be NumPy or all CuPy, got {kinds}")
    return next(iter(kinds.values()))
