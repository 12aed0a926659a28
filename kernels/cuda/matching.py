"""How cost volume and displacement cut feature maps into tiles for ``matching.cuh``, and how they launch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .loader import load, require_cupy

_PIXELS, _FIRST_STRIDE = 8, 12  # as in matching.cuh
_MOST_THREADS = 512  # of a block, as in the kernels; two blocks of half as many hide each other's loads
_MOST_ROWS = 32
_BANK_ROWS = 8  # rows of a tile that keep neighbouring threads in different banks
_ENOUGH_BLOCKS = 256  # to keep a large GPU busy
_SHARED_BYTES = 48 * 1024  # of a block, without opting in to more


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """The tiles of one launch; see ``Task`` of matching.cuh for the names."""

    columns: int  # dx of a thread: COLUMNS
    rows: int
    slab: int
    stride: int
    first_plane: int
    second_plane: int
    units: int
    shared_bytes: int

    def __post_init__(self) -> None:
        assert self.units <= _MOST_THREADS
        assert self.slab >= 4
        assert self.shared_bytes <= _SHARED_BYTES


@lru_cache(maxsize=256)
def tiling(shape: tuple[int, ...], radius: tuple[int, int]) -> Tiling:
    """Choose tiles so that sums fit the registers of a block and slabs its shared memory.

    Parameters
    ----------
    shape
        ``(N, H, W, C)`` of the feature maps.
    radius
        ``(ry, rx)``, each 0..15.
    """
    images, height, width, channels = shape
    ry, rx = radius
    window_rows, window_columns = 2 * ry + 1, 2 * rx + 1
    columns = {1: 5, 3: 5, 5: 5, 9: 9}.get(window_columns, 8)
    blocks = -(-window_columns // columns)
    offsets = window_rows * blocks
    most_rows = _MOST_THREADS // 2 // offsets
    if most_rows < _BANK_ROWS:  # the margin would be many times the tile
        most_rows = _MOST_THREADS // offsets
    if _BANK_ROWS < most_rows < 2 * _BANK_ROWS:
        most_rows = _BANK_ROWS
    most_rows = min(most_rows, _MOST_ROWS)
    rows = -(-height // -(-height // most_rows))
    while rows > _BANK_ROWS and images * -(-width // _PIXELS) * -(-height // rows) < _ENOUGH_BLOCKS:
        rows = max(_BANK_ROWS, rows // 2)
    stride = (-(-(_PIXELS + blocks * columns - 1) // 4) | 1) * 4
    first_plane, second_plane = _plane(rows * _FIRST_STRIDE), _plane((rows + 2 * ry) * stride)
    plane_bytes = 4 * (first_plane + second_plane)
    slab = 16 if channels > 8 else 8
    while (slab + 1) * plane_bytes > _SHARED_BYTES or (slab == 16 and 17 * plane_bytes > _SHARED_BYTES // 2):
        slab //= 2
    units = rows * offsets
    sums = 4 * 3 * _PIXELS * units  # that threads of displacement share; a column of the cost volume is always less
    return Tiling(
        columns=columns,
        rows=rows,
        slab=slab,
        stride=stride,
        first_plane=first_plane,
        second_plane=second_plane,
        units=units,
        shared_bytes=max((slab + 1) * plane_bytes, sums),
    )


def _plane(floats: int) -> int:
    """Return the next number that is 4 past a multiple of 32: planes begin in different banks."""
    return -(-(floats - 4) // 32) * 32 + 4


def launch(
    name: str, features0: Any, features1: Any, radius: tuple[int, int], result: Any, *arguments: np.generic
) -> None:
    """Run a kernel on pairs of feature maps, on the current stream of the current device, and wait for its verdict.

    Parameters
    ----------
    name
        Of source and kernel.
    features0, features1
        ``(N, H, W, C)`` float32 or float16 CuPy arrays.
    radius
        ``(ry, rx)``.
    result
        C-contiguous float32, written to.
    arguments
        What the kernel takes after those of all.

    Raises
    ------
    ValueError
        If a feature is NaN, infinite or 1e18 long. To know that costs a round trip to the device.
    """
    cupy = require_cupy()
    images, height, width, channels = features0.shape
    first, second, sample = samples(features0, features1)
    tiles = tiling(features0.shape, radius)
    blocks = images * -(-height // tiles.rows) * -(-width // _PIXELS)
    damage = cupy.zeros(2, np.int32)
    sizes = (height, width, channels, *radius, tiles.rows, tiles.slab, tiles.stride)
    kernel = load(name, {"SAMPLE": sample, "COLUMNS": str(tiles.columns)}).get_function(name)
    kernel(
        (blocks,),
        (-(-tiles.units // 32) * 32,),
        (
            *(first, second, result, damage),
            *(np.int32(size) for size in (*sizes, tiles.first_plane, tiles.second_plane)),
            *arguments,
        ),
        shared_mem=tiles.shared_bytes,
    )
    for bad, array in zip(damage.get(), ("features0", "features1"), strict=True):
        if bad:
            raise ValueError(f"{array} must be finite and less than 1e18 long, got NaN, infinity or larger values")


def samples(*features: Any) -> tuple[Any, ...]:
    """Return features, C-contiguous and of one type, as the kernels take them, and that type's name in CUDA.

    float16 stays what it is, as its bits; mixed with float32 it becomes float32.
    """
    cupy = require_cupy()
    half = all(array.dtype == np.float16 for array in features)
    if half:
        return (*(cupy.ascontiguousarray(array).view(np.uint16) for array in features), "uint16")
    return (*(cupy.ascontiguousarray(array.astype(np.float32, copy=False)) for array in features), "float")
