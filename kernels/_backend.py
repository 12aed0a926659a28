"""Which device an array lives on. A backend is only imported when an array of its kind turns up."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_cupy(array: Any) -> bool:
    """Whether ``array`` is a CuPy array, decided without importing CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def can_take_results(out: Any, like: Any) -> bool:
    """Whether ``out`` is a C-contiguous array of the kind of ``like``, and may be written to."""
    both_numpy = isinstance(out, np.ndarray) and isinstance(like, np.ndarray)  # perhaps one of them in a file
    if type(out) is not type(like) and not both_numpy:
        return False
    return bool(out.flags.c_contiguous and (not both_numpy or out.flags.writeable))


def share_memory(first: Any, second: Any) -> bool:
    """Whether two arrays of one kind may have bytes in common."""
    if isinstance(first, np.ndarray):
        return np.may_share_memory(first, second)
    import cupy

    return bool(cupy.may_share_memory(first, second))


def apart(array: Any, out: Any) -> Any:
    """Return the array, or a copy if writing to ``out`` could change what is read of it afterwards."""
    if out is None:
        return array
    return array.copy() if share_memory(array, out) else array


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
