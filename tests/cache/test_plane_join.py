"""Vectors of elements out of bit planes: what NumPy unpacks, from any byte, to any address, by masks and matrices."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from vidprep.pipeline.cache.plane_join import BIT_MATRICES, ITEM_SIZES, make_join

STRIDE, GUARD = 61, 300


@pytest.mark.parametrize("matrices", [False, pytest.param(True, marks=[] if BIT_MATRICES else pytest.mark.skip)])
@pytest.mark.parametrize("itemsize", ITEM_SIZES)
def test_all_bytes_shifts_and_addresses(itemsize: int, matrices: bool) -> None:
    plain = make_join(itemsize, shifted=False, matrices=matrices)
    shifted = make_join(itemsize, shifted=True, matrices=matrices)
    lanes = 128 if matrices else 64

    @njit
    def join(planes, shift, elements):  # type: ignore[no-untyped-def]
        if shift < 0:
            plain(planes, STRIDE, elements)
        else:
            shifted(planes, STRIDE, shift, elements)

    planes = np.random.default_rng(0).integers(0, 256, (8 * itemsize, STRIDE), np.uint8)
    bits = np.unpackbits(planes, axis=1, bitorder="little").reshape(itemsize, 8, 8 * STRIDE)
    weights = (1 << np.arange(8)).reshape(1, 8, 1)
    expected = (bits * weights).sum(axis=1).astype(np.uint8).T  # (elements, bytes of each)
    for byte in (0, 1, 7, 8, 45 if matrices else 53):
        for shift in range(-1, 8):
            out = np.full(2 * GUARD + lanes * itemsize, 170, np.uint8)
            place = GUARD + byte
            join(planes.ctypes.data + byte, shift, out.ctypes.data + place)
            first, count = 8 * byte + max(shift, 0), (lanes - max(shift, 0)) * itemsize
            found = out[place : place + count].reshape(-1, itemsize)
            np.testing.assert_array_equal(found, expected[first : first + len(found)])
            assert (out[:place] == 170).all()
            assert (out[place + lanes * itemsize :] == 170).all()
