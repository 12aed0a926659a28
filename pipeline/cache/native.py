"""Compression code out of the shared libraries that hdf5plugin ships, called through ctypes.

These are the libraries that HDF5 itself decodes a shard with, so what is written here is what any HDF5 reader
understands. ctypes lets go of the GIL during a call and works on the caller's memory: threads run in parallel and
nothing is copied.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError


@cache
def library(name: str) -> ctypes.CDLL:
    """The shared library of one filter.

    Parameters
    ----------
    name
        hdf5plugin's name of it: ``h5lz4``, ``h5zstd`` or ``h5bshuf``.

    Raises
    ------
    MissingExtraError
        hdf5plugin is not installed or comes without this filter.
    """
    # find_spec and not import: importing hdf5plugin pulls in h5py, which a reader of the cache does not need.
    spec = find_spec("hdf5plugin")
    folders = [] if spec is None else [Path(folder) / "plugins" for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in sorted(folder.glob(f"lib{name}.*"))]
    if not files:
        raise MissingExtraError(
            f"hdf5plugin's filter library lib{name} was not found, so run `pip install --force-reinstall hdf5plugin`"
        )
    try:
        return ctypes.CDLL(str(files[0]))
    except OSError as error:
        raise MissingExtraError(
            f"{files[0]} cannot be loaded ({error}), so run `pip install --force-reinstall hdf5plugin`"
        ) from error


def function(library_name: str, name: str, result: Any, *arguments: Any) -> Any:
    """A C function with its signature.

    Raises
    ------
    MissingExtraError
        The library, or the function in it, is absent.
    """
    try:
        symbol = getattr(library(library_name), name)
    except AttributeError:
        raise MissingExtraError(
            f"this hdf5plugin's lib{library_name} does not export {name}, so install hdf5plugin from PyPI's wheels"
        ) from None
    symbol.restype = result
    symbol.argtypes = arguments
    return symbol
