"""Warping reads and writes inside its arrays only: pages around them may not be touched."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own, which ends at the first access elsewhere.
SCRIPT = """
import ctypes, mmap
import numpy as np
import vidprep.kernels.cpu.warp as module
from vidprep.kernels import warp, warped_difference

protect = ctypes.CDLL(None).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE = mmap.PAGESIZE
LARGE = module.LARGE
mappings = []

def guarded(array, at_end):
    size = -(-array.nbytes // PAGE) * PAGE
    mapping = mmap.mmap(-1, size + 2 * PAGE)
    mappings.append(mapping)
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    for page in (start, start + PAGE + size):
        assert protect(page, PAGE, 0) == 0  # PROT_NONE
    offset = PAGE + (size - array.nbytes if at_end else 0)
    copy = np.frombuffer(mapping, np.float32, array.size, offset).reshape(array.shape)
    copy[:] = array
    return copy

rng = np.random.default_rng(0)
for channels in (1, 2, 3, 8, 9, 16, 48):
    for shape in ((1, 1), (1, 40), (40, 1), (2, 20), (9, 20), (3, 70)):
        first, second = rng.standard_normal((2, *shape, channels), np.float32)
        noise = rng.normal(0, 2, (*shape, 2)).astype(np.float32)
        for flow in (noise, np.round(noise), np.ones_like(noise), np.zeros_like(noise)):
            expected = warp(first, flow), warped_difference(first, second, flow)
            for at_end in (False, True):
                for module.LARGE in (LARGE, 0):  # 0: results go around the cache
                    a, b, v, out = (guarded(array, at_end) for array in (first, second, flow, first))
                    np.testing.assert_array_equal(warp(a, v, out=out), expected[0])
                    np.testing.assert_array_equal(warped_difference(a, b, v, out=out), expected[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect as Linux has it")
def test_touches_nothing_around_its_arrays() -> None:
    finished = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
