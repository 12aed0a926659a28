"""Clips decoded straight into the caller's memory: what HDF5 reads, at every alignment, and not a byte beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (h5py needs its filters)
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidprep.pipeline.cache import CODECS, Cache, ClipDamage, DamagedClipsError, shard_path
from vidprep.pipeline.errors import CacheError

Make = Callable[..., Any]
GUARD = 256
# Elements of a frame that are a multiple of 64, of 8, and of neither; one row, one column, one element.
SIZES = [(16, 12, 2), (9, 8, 3), (7, 11, 3), (1, 13, 1), (13, 1, 3), (1, 1, 1), (5, 70, 1)]


def some_frames(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Frames with runs and with noise in their bit planes."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1 << rng.integers(1, 9, shape[0]).reshape(-1, 1, 1, 1), shape)
    values[:, : shape[1] // 2] //= 16
    return (values - (0 if dtype == "uint8" else 20)).astype(dtype)


def guarded(shape: tuple[int, ...], dtype: Any) -> tuple[NDArray[Any], Callable[[], None]]:
    """An array of 170s with more of them on either side, and what makes sure that those still are."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.full(size + 2 * GUARD, 170, np.uint8)

    def check() -> None:
        assert (memory[:GUARD] == 170).all()
        assert (memory[-GUARD:] == 170).all()

    return memory[GUARD : GUARD + size].view(dtype).reshape(shape), check


def from_hdf5(path: Path, shard: int, name: str) -> NDArray[Any]:
    with h5py.File(shard_path(path, shard)) as file:
        frames: NDArray[Any] = file[name][:]
    return frames


@pytest.mark.parametrize("chunk_frames", [1, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float32"])
@pytest.mark.parametrize("codec", CODECS)
def test_all_sizes_types_and_codecs(cache_of: Make, codec: str, dtype: str, chunk_frames: int) -> None:
    """Frames in any order, some repeated, the last chunk short, the box anywhere."""
    videos = {f"v{i}": {"m": some_frames((10, *size), dtype, i)} for i, size in enumerate(SIZES) if size[2] == 3}
    videos |= {f"w{i}": {f"m{size[2]}": some_frames((10, *size), dtype, i)} for i, size in enumerate(SIZES)}
    path = cache_of(videos, codec=codec, chunk_frames=chunk_frames)
    cache = Cache(path)
    rng = np.random.default_rng(0)
    for shard, (video, datasets) in enumerate(videos.items()):
        position = cache.positions([video])
        for modality in datasets:
            expected = from_hdf5(path, shard, f"{video}/{modality}")
            np.testing.assert_array_equal(expected, datasets[modality])
            _, height, width, channels = expected.shape
            whole, check = guarded(expected.shape, expected.dtype)
            assert cache.read(video, modality, out=whole) is whole
            np.testing.assert_array_equal(whole, expected)
            check()
            for _ in range(12):
                h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
                y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                frames = rng.integers(0, 10, (1, 7))
                out, check = guarded((1, 7, h, w, channels), expected.dtype)
                cache.read_frames(modality, position, frames, [(y, x, h, w)], out, verify=bool(rng.integers(2)))
                np.testing.assert_array_equal(out[0], expected[frames[0], y : y + h, x : x + w])
                check()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_every_place_of_a_box(cache_of: Make, dtype: str, codec: str) -> None:
    """Every shift of the first element within a byte of a plane, and every length of a row around a vector's."""
    frames = some_frames((3, 4, 152, 1), dtype)
    cache = Cache(cache_of({"v": {"m": frames}}, codec=codec))
    for left in range(17):
        for width in (1, 7, 8, 55, 56, 57, 63, 64, 65, 71, 128, 135, 152 - left):
            out, check = guarded((1, 3, 3, width, 1), frames.dtype)
            cache.read_frames("m", [0], [[2, 1, 0]], [(1, left, 3, width)], out, num_threads=1)
            np.testing.assert_array_equal(out[0], frames[::-1, 1:4, left : left + width])
            check()


@pytest.mark.parametrize("codec", CODECS)
def test_batches_of_videos_of_many_sizes(cache_of: Make, codec: str) -> None:
    videos = {f"v{i}": {"m": some_frames((6 + i, 9 + i % 3, 11 + i, 3), "uint8", i)} for i in range(8)}
    cache = Cache(cache_of(videos, codec=codec))
    rng = np.random.default_rng(1)
    positions = rng.integers(0, 8, 40)
    frames = rng.integers(0, 6, (40, 5))
    corners = rng.integers(0, 2, (40, 2))
    boxes = np.concatenate((corners, np.full((40, 2), (8, 10))), axis=1)
    for threads in (1, 2, None):
        out, check = guarded((40, 5, 8, 10, 3), np.uint8)
        cache.read_frames("m", positions, frames, boxes, out, num_threads=threads)
        check()
        for clip, position, numbers, (y, x) in zip(out, positions, frames, corners, strict=True):
            np.testing.assert_array_equal(clip, videos[f"v{position}"]["m"][numbers, y : y + 8, x : x + 10])


@pytest.mark.parametrize("codec", CODECS)
def test_a_long_clip_is_read_in_pieces(cache_of: Make, codec: str) -> None:
    frames = some_frames((300, 5, 8, 3), "uint8")
    cache = Cache(cache_of({"v": {"m": frames}}, codec=codec))
    np.testing.assert_array_equal(cache.read("v", "m"), frames)
    shuffled = np.random.default_rng(2).integers(0, 300, (1, 400))
    np.testing.assert_array_equal(cache.read_frames("m", [0], shuffled)[0], frames[shuffled[0]])


def test_frames_of_very_different_sizes(cache_of: Make) -> None:
    """Reading ahead goes by the mean size of a frame: here that is always wrong."""
    frames = np.zeros((64, 32, 32, 3), np.uint8)
    frames[::5] = np.random.default_rng(0).integers(0, 256, frames[::5].shape)
    cache = Cache(cache_of({"v": {"m": frames}}, chunk_frames=16))
    for first in range(0, 60, 3):
        for count in (1, 2, 4):
            np.testing.assert_array_equal(cache.read("v", "m", first, first + count), frames[first : first + count])
    strides = [[3, 19, 22, 25, 31], [0, 15, 16, 31, 32]]
    np.testing.assert_array_equal(cache.read_frames("m", [0, 0], strides), frames[strides])


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_damage_never_crashes(cache_of: Make, codec: str, verify: bool) -> None:
    """Bytes flipped, overwritten and cut off: each clip is right, named as damaged, or (not verified) different."""
    frames = some_frames((12, 9, 16, 3), "uint8")
    odd = some_frames((12, 7, 11, 3), "uint8")
    path = cache_of({"v": {"m": frames, "odd": odd}}, codec=codec)
    cache = Cache(path)
    shard = shard_path(path, 0)
    intact = shard.read_bytes()
    with h5py.File(shard) as file:
        chunks = {name: [file["v"][name].id.get_chunk_info(i) for i in range(3)] for name in ("m", "odd")}
    rng = np.random.default_rng(3)
    noticed = 0
    for trial in range(150):
        name = ("m", "odd")[trial % 2]
        chunk = chunks[name][trial % 3]
        data = bytearray(intact)
        place = chunk.byte_offset + int(rng.integers(chunk.size))
        if trial % 4 == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif trial % 4 == 1:
            place = chunk.byte_offset + min(int(rng.integers(24)), chunk.size - 1)
            data[place] ^= int(rng.integers(1, 256))
        elif trial % 4 == 2:
            data[place : place + 8] = bytes([255]) * 8 if intact[place : place + 8] != bytes([255]) * 8 else bytes(8)
        else:
            data = data[:place]
        with shard.open("r+b") as file:  # the same file: the cache has it open
            file.write(data)
            file.truncate(len(data))
        expected = {"m": frames, "odd": odd}[name]
        _, height, width, _ = expected.shape
        out, check = guarded((3, 4, height - 1, width - 2, 3), np.uint8)
        boxes = [(1, 2, height - 1, width - 2)] * 3
        numbers = np.arange(12).reshape(3, 4)
        damage: tuple[ClipDamage, ...] = ()
        try:
            cache.read_frames(name, [0, 0, 0], numbers, boxes, out, verify=verify)
        except DamagedClipsError as error:
            damage = error.damage
        check()
        damaged = [item.clip for item in damage]
        assert damaged == [item.chunk for item in damage]
        for clip in range(3):
            if (clip != trial % 3 and trial % 4 == 2) or trial % 4 == 3:
                continue  # the damage may reach into the chunk behind
            if clip != trial % 3:
                assert clip not in damaged
                np.testing.assert_array_equal(out[clip], expected[4 * clip : 4 * clip + 4, 1:, 2:])
        noticed += trial % 3 in damaged
        if verify:
            assert trial % 3 in damaged
    assert noticed > 30
    shard.write_bytes(intact)
    np.testing.assert_array_equal(cache.read("v", "m", verify=verify), frames)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_garbage_for_a_chunk(cache_of: Make, data: st.DataObject, tmp_path: Path) -> None:
    codec = data.draw(st.sampled_from(["lz4", "zstd"]))
    frames = some_frames((8, 5, 8, 3), "uint8")
    path = tmp_path / f"of-{codec}"
    if not path.exists():
        cache_of({"v": {"m": frames}}, codec=codec).rename(path)
    shard = shard_path(path, 0)
    with h5py.File(shard) as file:
        chunk = file["v/m"].id.get_chunk_info(0)
    intact = shard.read_bytes()
    header = intact[chunk.byte_offset : chunk.byte_offset + 16] if data.draw(st.booleans()) else b""
    garbage = (header + data.draw(st.binary(max_size=chunk.size)))[: chunk.size]
    changed = bytearray(intact)
    changed[chunk.byte_offset : chunk.byte_offset + len(garbage)] = garbage
    shard.write_bytes(changed)
    try:
        out, check = guarded((1, 3, 4, 7, 3), np.uint8)
        with suppress(DamagedClipsError):
            Cache(path).read_frames("m", [0], [[1, 0, 3]], [(1, 1, 4, 7)], out)
        check()
    finally:
        shard.write_bytes(intact)


def test_an_index_with_impossible_sizes(cache_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = some_frames((8, 5, 8, 3), "uint8")
    path = cache_of({"v": {"m": frames}})
    for column, value in (("sizes", 0), ("sizes", 2**32 - 1), ("offsets", 2**64 - 5), ("offsets", 2**40)):
        cache = Cache(path)
        getattr(cache._index.chunks, column)[1] = value
        with pytest.raises(CacheError, match="chunk 1 of m of 'v' cannot be read"):
            cache.read("v", "m")
        np.testing.assert_array_equal(cache.read("v", "m", 0, 4), frames[:4])
    huge = 2**31 - 1
    # Frames of a chunk, height, width; products of the last three are too large for 64 bits.
    for column, value in (
        (2, 0), (2, huge), (3, huge), (4, huge), (slice(3, 5), 2**31), (slice(2, 5), 2**22), (slice(2, 4), 2**31),
    ):  # fmt: skip
        cache = Cache(path)
        cache._index.layouts[0, column] = value
        with pytest.raises(CacheError, match="chunk 0 of m of 'v' cannot be read"):
            cache.read_frames("m", [0], [[0]], (1, 1))
