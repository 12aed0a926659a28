"""Tests of the memory that outlives its users."""

from __future__ import annotations

import numpy as np

from vidprep.pipeline.cache.memory_pool import MemoryPool


def test_a_block_is_used_again() -> None:
    pool = MemoryPool(100)
    first = pool.take(60)
    address = first.ctypes.data
    pool.give_back(first)
    del first
    assert pool.take(60).ctypes.data == address


def test_blocks_in_use_are_not_shared() -> None:
    pool = MemoryPool(100)
    pool.give_back(pool.take(40))
    blocks = [pool.take(40) for _ in range(3)]
    assert not any(np.shares_memory(a, b) for a in blocks for b in blocks if a is not b)


def test_only_a_block_of_the_right_size_is_handed_out() -> None:
    pool = MemoryPool(100)
    pool.give_back(pool.take(40))
    assert pool.take(30).size == 30
    assert pool.free_bytes == 40


def test_what_it_keeps_is_bounded_and_the_latest() -> None:
    pool = MemoryPool(100)
    blocks = [pool.take(size) for size in (50, 40, 30, 101)]
    for block in blocks[:3]:
        pool.give_back(block)
    assert pool.free_bytes == 70
    pool.give_back(blocks[3])
    assert pool.free_bytes == 0


def test_array_comes_back_with_its_last_view() -> None:
    pool = MemoryPool(1 << 20)
    array = pool.array((4, 8, 2), np.float32)
    assert (array.shape, array.dtype, array.flags.c_contiguous, array.flags.writeable) == (
        (4, 8, 2),
        np.float32,
        True,
        True,
    )
    place = array.ctypes.data
    row = array.reshape(-1)[8:].view(np.uint8)[::2]
    del array
    row[:] = 7
    other = pool.array((4, 8, 2), np.float32)
    assert other.ctypes.data != place  # a view of a view still holds it
    del row
    assert pool.array((256,), np.uint8).ctypes.data == place
    del other


def test_arrays_beyond_the_most_bytes_are_let_go() -> None:
    pool = MemoryPool(100)
    arrays = [pool.array((60,), np.uint8) for _ in range(3)]
    del arrays
    pool.take(1)
    assert pool.free_bytes == 60
