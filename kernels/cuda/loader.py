"""From a ``.cu`` file and its defines to a module on the current device, compiled once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .catalogue import SPECIALISATIONS

COMPILE_OPTIONS = ("--std=c++17",)
_FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def source_text(name: str, defines: Mapping[str, str]) -> str:
    """Return the complete text of ``<name>.cu``: defines first, our own headers inlined. Needs no GPU and no CuPy.

    Parameters
    ----------
    name
        Name of a source in this folder, without suffix.
    defines
        Macros and their values.
    """
    lines = [f"#define {macro} {value}" for macro, value in sorted(defines.items())]
    return "\n".join([*lines, _marked(f"{name}.cu")])


def _marked(filename: str) -> str:
    """Return a file's text under a ``#line`` that names it, so that a compiler's messages point into the file."""
    text = (_FOLDER / filename).read_text(encoding="utf-8")

    def inline(match: re.Match[str]) -> str:
        next_line = text.count("\n", 0, match.start()) + 2
        return f'{_marked(match[1])}\n#line {next_line} "{filename}"'

    return f'#line 1 "{filename}"\n{_INCLUDE.sub(inline, text)}'


def require_cupy() -> Any:
    """Import CuPy.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            'CUDA kernels need CuPy, which is not installed: run pip install "vidprep[cuda13]" '
            "(or cuda12 for a CUDA 12 driver), or pass NumPy arrays to compute on the CPU"
        ) from error
    return cupy


def load(name: str, defines: Mapping[str, str]) -> Any:
    """Return the ``cupy.RawModule`` of a source for the current device.

    Its functions are called as ``module.get_function(kernel)(grid, block, args)`` and run on CuPy's current stream.

    Parameters
    ----------
    name, defines
        A row of ``catalogue.SPECIALISATIONS``.
    """
    assert dict(defines) in [dict(known) for known in SPECIALISATIONS[name]], f"{name} {defines}: not in the catalogue"
    device = require_cupy().cuda.Device().id
    return _compiled(device, name, tuple(sorted(defines.items())))


@cache  # bounded by the catalogue and the devices
def _compiled(device: int, name: str, defines: tuple[tuple[str, str], ...]) -> Any:
    del device  # part of the key only
    code = source_text(name, dict(defines))
    return require_cupy().RawModule(code=code, options=COMPILE_OPTIONS, backend="nvrtc")


def upload(array: NDArray[Any]) -> Any:
    """Copy a table to the current device, complete on return.

    A memoised table outlives the stream it was copied on; without the wait a launch on another stream could read it
    before it has arrived.
    """
    cupy = require_cupy()
    on_device = cupy.asarray(np.ascontiguousarray(array))
    cupy.cuda.get_current_stream().synchronize()
    return on_device
