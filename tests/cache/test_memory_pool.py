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
