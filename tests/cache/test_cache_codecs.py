"""The codecs against the HDF5 filters they stand in for, and against damage."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import mmap
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidprep.pipeline.cache.checksum import xxh64
from vidprep.pipeline.cache.codecs import CODECS, Codec, make_codec
from vidprep.pipeline.cache.hdf5 import creation_properties
from vidprep.pipeline.cache.native import function
from vidprep.pipeline.cache.runs import MARGIN, encode_runs
from vidprep.pipeline.errors import CacheError, UsageError

Bytes = NDArray[np.uint8]


@st.composite
def buffers(draw: st.DrawFn) -> Bytes:
    """Tiny, flat, repeating and random buffers of a multiple of 4 bytes."""
    size = 4 * draw(st.one_of(st.integers(1, 40), st.integers(1, 20_000)))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    kind = draw(st.sampled_from(["flat", "random", "repeating", "sparse"]))
    if kind == "flat":
        return np.full(size, draw(st.integers(0, 255)), np.uint8)
    if kind == "repeating":
        return np.resize(random.integers(0, 256, 97, np.uint8), size)
    if kind == "sparse":
        return (random.integers(0, 256, size) * (random.random(size) < 0.05)).astype(np.uint8)
    return random.integers(0, 256, size, np.uint8)


def at_the_edge(data: Bytes) -> Bytes:
    """A copy that ends where memory does: reading on would end this process."""
    size = -(-data.size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8)
    edge = ctypes.c_void_p(memory.ctypes.data + size)
    assert ctypes.CDLL(None).mprotect(edge, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    memory[size - data.size : size] = data
    return memory[size - data.size : size]


def encode(codec: Codec, data: Bytes, before: int = 0xA5) -> Bytes:
    """Encode into memory that was full of ``before``; nothing beyond the bound may change."""
    bound = codec.bound(data.size)
    target = np.full(bound + 256, before, np.uint8)
    used = codec.encode(at_the_edge(data), target[:bound])
    assert (target[bound:] == before).all()
    return target[:used].copy()


@pytest.mark.parametrize("itemsize", [1, 2, 4])
@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=40, deadline=None)
@given(data=buffers(), frame_items=st.one_of(st.integers(1, 100), st.integers(1, 30_000)))
def test_decode_gives_back_what_was_encoded(name: str, itemsize: int, data: Bytes, frame_items: int) -> None:
    codec = make_codec(name, itemsize, frame_items)
    encoded = encode(codec, data)
    np.testing.assert_array_equal(encode(codec, data, before=0), encoded)
    decoded = np.empty_like(data)
    codec.decode(encoded, decoded)
    np.testing.assert_array_equal(decoded, data)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("name", CODECS)
def test_single_bytes(name: str, size: int) -> None:
    codec = make_codec(name, 1, size)
    data = np.arange(size, dtype=np.uint8)
    decoded = np.empty_like(data)
    codec.decode(encode(codec, data), decoded)
    np.testing.assert_array_equal(decoded, data)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32"])
@pytest.mark.parametrize("frame_shape", [(37, 51, 3), (32, 24, 3), (1, 1, 3), (3, 5, 1)])
@pytest.mark.parametrize("name", CODECS)
def test_hdf5_reads_our_chunks_and_we_read_theirs(
    tmp_path: Path, name: str, frame_shape: tuple[int, int, int], dtype: str
) -> None:
    random = np.random.default_rng(0)
    shape = (4, *frame_shape)
    kind = np.dtype(dtype)
    cases = {
        "random": random.integers(0, 100, shape).astype(dtype),
        "flat": np.full(shape, 7, dtype),
        "steps": np.resize(np.arange(500).astype(dtype), shape),
        "small": random.poisson(0.4, shape).astype(dtype),
        "noise": random.integers(0, 256, (*shape[:3], frame_shape[2] * kind.itemsize), np.uint8).view(dtype),
    }
    codec = make_codec(name, kind.itemsize, math.prod(frame_shape))
    with h5py.File(tmp_path / "chunks.h5", "w") as file:

        def create(path: str) -> h5py.Dataset:
            creation = creation_properties(shape, codec.hdf5_filters)
            space = h5py.h5s.create_simple(shape)
            return h5py.Dataset(h5py.h5d.create(file.id, path.encode(), h5py.h5t.py_create(kind), space, dcpl=creation))

        for case, data in cases.items():
            theirs = create(f"theirs-{case}")
            theirs[:] = data
            file.flush()
            _, stored = theirs.id.read_direct_chunk((0, 0, 0, 0))
            decoded = np.empty(data.nbytes, np.uint8)
            codec.decode(np.frombuffer(bytearray(stored), np.uint8), decoded)
            assert decoded.tobytes() == data.tobytes()

            ours = create(f"ours-{case}")
            ours.id.write_direct_chunk((0, 0, 0, 0), encode(codec, data.reshape(-1).view(np.uint8)))
            assert ours[:].tobytes() == data.tobytes()


def test_lz4_stores_noise_raw() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8)
    assert encode(make_codec("lz4", 1, noise.size), noise).size == noise.size + 16


def encode_block(data: Bytes, behind: int = 0) -> int:
    """Encode with ``behind`` behind the data, and have LZ4 itself decode the block; returns its size or 0."""
    padded = at_the_edge(np.concatenate((data, np.full(MARGIN, behind, np.uint8))))
    room = np.full(data.size + MARGIN + 256, 0xA5, np.uint8)
    used = encode_runs(padded.ctypes.data, data.size, room.ctypes.data)
    assert 0 <= used < data.size
    assert (room[data.size + MARGIN :] == 0xA5).all()
    if used:
        pointer, size = ctypes.c_void_p, ctypes.c_int
        decompress = function("h5lz4", "LZ4_decompress_safe", size, pointer, pointer, size, size)
        decoded = np.empty_like(data)
        assert decompress(room.ctypes.data, decoded.ctypes.data, used, data.size) == data.size
        np.testing.assert_array_equal(decoded, data)
    return int(used)


@settings(max_examples=300, deadline=None)
@given(data=buffers(), cut=st.integers(0, 3), behind=st.integers(0, 255))
def test_blocks_of_runs_are_plain_lz4(data: Bytes, cut: int, behind: int) -> None:
    data = data[cut:]
    used = encode_block(data, behind)
    if (data == data[0]).all() and data.size > 200:
        assert 0 < used < 100 + data.size // 200


@pytest.mark.parametrize("length", [15, 15 + 255, 15 + 2 * 255])
def test_lengths_that_end_with_a_byte_of_a_block(length: int) -> None:
    different = np.arange(1000, dtype=np.uint8)
    for more in range(-6, 7):
        for literals, run in ((length + more, 100), (7, length + more + 5)):
            assert encode_block(np.concatenate((different[:literals], np.full(run, 250, np.uint8), different[:80])))


def test_runs_at_the_end_of_a_block() -> None:
    different = np.arange(1, 200, dtype=np.uint8)
    for size, run in itertools.product(range(180, 260), range(4, 24)):
        data = np.concatenate((np.zeros(70, np.uint8), different[: size - 70 - run], np.full(run, 250, np.uint8)))
        assert encode_block(data)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=150, deadline=None)
@given(
    data=buffers(),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    cut=st.integers(-9, 9),
    seed=st.integers(0, 5),
)
def test_damage_raises_or_gives_some_bytes_but_never_leaves_the_buffers(
    name: str, data: Bytes, position: float, value: int, cut: int, seed: int
) -> None:
    codec = make_codec(name, 4, 300)
    damaged = encode(codec, data)
    # The first bytes hold the sizes that steer the decoder: hit them often.
    where = int(position * min(damaged.size, 24 if seed else damaged.size))
    damaged[where] = value
    damaged = damaged[:cut] if cut < 0 else np.concatenate((damaged, np.full(cut, value, np.uint8)))
    guarded = np.full(data.size + 64, 0x5A, np.uint8)
    with contextlib.suppress(CacheError):
        codec.decode(at_the_edge(damaged), guarded[32:-32])
    assert (guarded[:32] == 0x5A).all()
    assert (guarded[-32:] == 0x5A).all()


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=50, deadline=None)
@given(garbage=st.binary(max_size=200), size=st.sampled_from([4, 64, 8192, 100_000]))
def test_garbage_is_refused(name: str, garbage: bytes, size: int) -> None:
    if name == "none" and len(garbage) == size:
        return
    with pytest.raises(CacheError):
        make_codec(name, 4, 300).decode(np.frombuffer(garbage, np.uint8), np.empty(size, np.uint8))


def test_headers_and_ends_of_lz4_chunks_are_checked() -> None:
    codec = make_codec("lz4", 1, 100)
    encoded = encode(codec, np.resize(np.arange(50, dtype=np.uint8) // 10, 300))
    decoded = np.empty(300, np.uint8)
    for position in range(16):
        damaged = encoded.copy()
        damaged[position] ^= 0x80
        with pytest.raises(CacheError):
            codec.decode(damaged, decoded)
    for damaged in (encoded[:-1].copy(), np.append(encoded, np.uint8(0))):
        with pytest.raises(CacheError):
            codec.decode(damaged, decoded)


def test_an_lz4_block_larger_than_what_it_holds_is_refused() -> None:
    literals = np.arange(200, dtype=np.uint8)
    block = bytes([0xF0, 200 - 15]) + literals.tobytes()  # fine for LZ4, but a codec would have stored it as it is
    numbers = (200).to_bytes(8, "big"), (200).to_bytes(4, "big"), len(block).to_bytes(4, "big")
    chunk = np.frombuffer(bytearray(b"".join(numbers) + block), np.uint8)
    with pytest.raises(CacheError):
        make_codec("lz4", 1, 200).decode(chunk, np.empty(200, np.uint8))


@pytest.mark.parametrize("name", CODECS)
def test_a_chunk_of_another_size_is_refused(name: str) -> None:
    codec = make_codec(name, 1, 50)
    encoded = encode(codec, np.arange(200, dtype=np.uint8))
    for size in (100, 199, 201, 4000):
        with pytest.raises(CacheError):
            codec.decode(encoded, np.empty(size, np.uint8))


def test_unknown_codec_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="'gzip' is unknown; choose one of lz4, zstd, none"):
        make_codec("gzip", 1, 1)


@given(data=st.binary(max_size=3000))
def test_checksum_is_xxh64(data: bytes) -> None:
    assert xxh64(data) == xxhash.xxh64_intdigest(data)
    assert xxh64(np.frombuffer(data, np.uint8)) == xxhash.xxh64_intdigest(data)
    assert xxh64(np.frombuffer(data, np.uint8).copy()) == xxhash.xxh64_intdigest(data)
    assert xxh64(bytearray(data)) == xxhash.xxh64_intdigest(data)
