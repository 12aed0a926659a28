"""Blocks of LZ4: what the LZ4 library makes of any data, what we make, and damage, always inside the buffers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidprep.pipeline.cache.lz4_blocks import decode_lz4
from vidprep.pipeline.cache.native import library
from vidprep.pipeline.cache.runs import MARGIN, encode_runs

Bytes = NDArray[np.uint8]
GUARD = 512


def library_encoded(data: bytes, acceleration: int) -> bytes:
    lz4 = library("h5lz4")
    out = ctypes.create_string_buffer(lz4.LZ4_compressBound(len(data)))
    size = lz4.LZ4_compress_fast(data, out, len(data), len(out), acceleration)
    assert size > 0
    return out.raw[:size]


def library_decoded(block: bytes, capacity: int) -> bytes | None:
    out = ctypes.create_string_buffer(capacity + 1)
    size = library("h5lz4").LZ4_decompress_safe(block, out, len(block), capacity)
    return out.raw[:size] if size == capacity else None


def decoded(block: bytes, capacity: int) -> bytes | None:
    """By our decoder, from and to memory between guards; a guard of its kind may not decide what comes out."""
    found = []
    for guard in (0, 255):
        source = np.full(len(block) + 2 * GUARD, guard, np.uint8)
        source[GUARD : GUARD + len(block)] = np.frombuffer(block, np.uint8)
        target = np.full(capacity + 2 * GUARD, guard, np.uint8)
        place = target.ctypes.data + GUARD
        good = decode_lz4(source.ctypes.data + GUARD, len(block), place, capacity, 0)  # a hint that leads nowhere
        assert (target[:GUARD] == guard).all()
        assert (target[GUARD + capacity :] == guard).all()
        found.append(target[GUARD : GUARD + capacity].tobytes() if good else None)
    assert found[0] == found[1]
    return found[0]


@st.composite
def compressible(draw: st.DrawFn) -> bytes:
    """Runs, repeated phrases and noise, of lengths around all limits."""
    lengths = st.one_of(st.integers(0, 80), st.sampled_from([14, 15, 18, 19, 63, 64, 65, 254, 255, 269, 270, 274, 600]))
    parts = []
    for _ in range(draw(st.integers(1, 30))):
        kind, length = draw(st.integers(0, 2)), draw(lengths)
        if kind == 0:
            parts.append(bytes([draw(st.integers(0, 255))]) * length)
        elif kind == 1:
            parts.append(np.random.default_rng(draw(st.integers(0, 9))).bytes(length))
        else:
            phrase = draw(st.binary(min_size=1, max_size=9))
            parts.append(phrase * (length // len(phrase)))
    return b"".join(parts) or b"x"


@settings(max_examples=150, deadline=None)
@given(data=compressible(), acceleration=st.sampled_from([1, 8, 64]))
def test_all_that_the_library_writes(data: bytes, acceleration: int) -> None:
    assert decoded(library_encoded(data, acceleration), len(data)) == data


@settings(max_examples=150, deadline=None)
@given(data=compressible())
def test_all_that_we_write(data: bytes) -> None:
    source = np.frombuffer(data + bytes(MARGIN), np.uint8)
    block = np.empty(len(data) + 2 * MARGIN, np.uint8)
    size = encode_runs(source.ctypes.data, len(data), block.ctypes.data)
    if size:
        assert decoded(block[:size].tobytes(), len(data)) == data
        assert library_decoded(block[:size].tobytes(), len(data)) == data


@settings(max_examples=250, deadline=None)
@given(data=compressible(), ours=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_damaged_blocks_stay_inside(data: bytes, ours: bool, seed: int) -> None:
    """Where the library takes a damaged block, we make the same of it."""
    rng = np.random.default_rng(seed)
    block = bytearray(library_encoded(data, 1))
    if ours:
        source, target = np.frombuffer(data + bytes(MARGIN), np.uint8), np.empty(len(data) + 2 * MARGIN, np.uint8)
        block = bytearray(target[: encode_runs(source.ctypes.data, len(data), target.ctypes.data)]) or block
    for _ in range(rng.integers(0, 4)):
        block[rng.integers(len(block))] = rng.choice([0, 1, 15, 240, 255, rng.integers(256)])
    if rng.integers(3) == 0:
        block = block[: rng.integers(1, len(block) + 1)]
    capacity = max(0, len(data) + int(rng.choice([0, 0, 0, -1, 1, 70, -70, 1000])))
    found, expected = decoded(bytes(block), capacity), library_decoded(bytes(block), capacity)
    if expected is not None and not starts_at_no_byte(bytes(block)):
        assert found == expected


def starts_at_no_byte(block: bytes) -> bool:
    """Whether a match has the offset 0, which no block may have, and of which the library makes something."""
    place = 0
    while place < len(block):
        token, place = block[place], place + 1
        length = token >> 4
        while length >= 15 and place < len(block):
            length, place, further = length + block[place], place + 1, block[place]
            if further < 255:
                break
        place += length
        if place + 2 > len(block):
            return False
        if block[place : place + 2] == b"\0\0":
            return True
        place += 2
        if token & 15 == 15:
            while place < len(block) and block[place] == 255:
                place += 1
            place += 1
    return False


@settings(max_examples=150, deadline=None)
@given(block=st.binary(min_size=1, max_size=700), capacity=st.integers(0, 2000))
def test_garbage_stays_inside(block: bytes, capacity: int) -> None:
    decoded(block, capacity)


@pytest.mark.parametrize("back", [0, 2, 3, 65535])
def test_matches_from_before_the_start(back: int) -> None:
    block = bytes([0x14, 7, back & 255, back >> 8, 0x50, 1, 2, 3, 4, 5])  # one literal, then eight bytes from `back`
    assert decoded(block, 14) is None


def test_a_long_block_of_every_kind_of_sequence() -> None:
    rng = np.random.default_rng(0)
    parts: list[Any] = []
    for _ in range(3000):
        parts += [rng.bytes(int(rng.geometric(0.05))), bytes([rng.integers(256)]) * int(rng.geometric(0.02))]
    data = b"".join(parts)
    assert decoded(library_encoded(data, 1), len(data)) == data
