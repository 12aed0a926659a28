"""Reading: the same frames as HDF5, in threads, forks and pickles, and one sentence for what is not there."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (h5py needs its filters)
import numpy as np
import pytest

from vidprep.pipeline.cache import CODECS, Cache, CacheHeader, build_index, open_shards, shard_path
from vidprep.pipeline.errors import CacheError, UsageError

Make = Callable[..., Any]


@pytest.mark.parametrize("chunk_frames", [1, 4, 32])
@pytest.mark.parametrize("codec", CODECS)
def test_reads_what_hdf5_reads(make_cache: Make, codec: str, chunk_frames: int) -> None:
    made = make_cache(codec=codec, chunk_frames=chunk_frames)
    cache = Cache(made.path)
    for (video, modality), frames in made.frames.items():
        with h5py.File(shard_path(made.path, cache.videos[video].shard)) as file:
            from_hdf5 = file[f"{video}/{modality}"][:]
        whole = cache.read(video, modality, verify=True)
        assert whole.dtype == frames.dtype
        np.testing.assert_array_equal(whole, frames)
        np.testing.assert_array_equal(from_hdf5, frames)


@pytest.mark.parametrize(("start", "stop"), [(0, 23), (0, 1), (3, 5), (4, 8), (5, 21), (22, 23), (20, 23), (7, 7)])
@pytest.mark.parametrize("codec", CODECS)
def test_any_range(make_cache: Make, codec: str, start: int, stop: int) -> None:
    made = make_cache(codec=codec)
    clip = Cache(made.path).read("v_3.avi", "residual", start, stop)
    np.testing.assert_array_equal(clip, made.frames["v_3.avi", "residual"][start:stop])


def test_out_is_filled_and_returned(make_cache: Make) -> None:
    made = make_cache()
    out = np.empty((5, 9, 14, 3), np.uint8)
    assert Cache(made.path).read("v_3.avi", "residual", 2, 7, out=out) is out
    np.testing.assert_array_equal(out, made.frames["v_3.avi", "residual"][2:7])


@pytest.mark.parametrize(
    "out", [np.empty((5, 9, 14, 2), np.uint8), np.empty((5, 9, 14, 3)), np.empty((5, 9, 28, 3))[:, :, ::2]]
)
def test_an_out_that_does_not_fit_is_refused(make_cache: Make, out: Any) -> None:
    with pytest.raises(UsageError, match=r"out must be a C-contiguous \(5, 9, 14, 3\) uint8 array"):
        Cache(make_cache().path).read("v_3.avi", "residual", 2, 7, out=out)


def test_decode_gives_physical_values(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    flow = cache.read("v_3.avi", "flow", 3, 9, decode=True)
    assert flow.dtype == np.float32
    info = cache.videos["v_3.avi"].modalities["flow"]
    stored = made.frames["v_3.avi", "flow"][3:9].astype(np.float64)
    np.testing.assert_allclose(flow, stored * info.scale_factor + info.add_offset, rtol=1e-5, atol=1e-5)
    residual = cache.read("v_3.avi", "residual", 3, 9, decode=True)
    np.testing.assert_array_equal(residual, made.frames["v_3.avi", "residual"][3:9].astype(np.float32))


def test_the_cache_describes_itself(make_cache: Make) -> None:
    cache = Cache(make_cache().path)
    assert len(cache) == len(cache.videos) == 4
    assert list(cache.videos) == ["Archery/v_1.avi", "Archery/v_2.avi", "Bowling/v ä.mp4", "v_3.avi"]
    assert cache.modalities == ("residual", "flow")
    assert cache.classes == ("Archery", "Bowling")
    assert [(f.video, f.stage, f.reason) for f in cache.failures] == [("Archery/broken.avi", "decode", "it is broken")]
    info = cache.videos["v_3.avi"]
    assert (info.id, info.label, info.split, info.num_frames, info.fps) == ("v_3.avi", "Archery", "train", 12, 29.97)
    assert (info.source_width, info.source_height, info.source_rotation) == (320, 240, 90)
    assert (info.decoder, info.decoder_note, info.shard) == ("pyav", "dali: 10 bit", 1)
    flow = info.modalities["flow"]
    assert (flow.num_frames, flow.height, flow.width, flow.channels, flow.dtype) == (23, 9, 14, 2, "float16")
    assert (flow.chunk_frames, flow.codec) == (4, "lz4")
    assert "Bowling/v ä.mp4" in cache.videos
    assert "Archery/broken.avi" not in cache.videos
    assert cache.videos.get("nothing") is None
    assert "4 videos" in repr(cache)


@pytest.mark.parametrize(
    ("video", "match"),
    [
        ("Archery/v_1.mp4", "'Archery/v_1.avi'"),
        ("v_1.avi", "'Archery/v_1.avi'"),
        ("elsewhere/v_1.avi", "did you mean 'Archery/v_1.avi'"),
        ("zzz", "Cache.videos"),
        ("Bowling/x_9.mkv", r"'Bowling/x_9.mkv': ids are listed"),  # nothing is much like it
        ("\udc80", "Cache"),
    ],
)
def test_an_unknown_video_names_those_alike(make_cache: Make, video: str, match: str) -> None:
    cache = Cache(make_cache().path)
    with pytest.raises(UsageError, match=match):
        cache.read(video, "residual")
    with pytest.raises(KeyError, match="no video of this cache is called"):
        cache.videos[video]


def test_what_is_no_text_is_no_video(make_cache: Make) -> None:
    cache = Cache(make_cache().path)
    for video in (5, None, b"v_3.avi", ("v_3.avi",), []):
        assert video not in cache.videos
        assert cache.videos.get(video) is None
        with pytest.raises(KeyError, match="no video of this cache is called"):
            cache.videos[video]
        with pytest.raises(UsageError, match=r"ids are listed by `Cache\.videos`"):
            cache.read(video, "residual")


def test_an_unknown_modality_names_those_that_exist(make_cache: Make) -> None:
    with pytest.raises(UsageError, match="has no modality 'rgb': it holds residual, flow"):
        Cache(make_cache().path).read("v_3.avi", "rgb")
    with pytest.raises(UsageError, match=r"has no modality \['flow'\]: it holds residual, flow"):
        Cache(make_cache("another").path).read_batch(["flow"], [("v_3.avi", 0)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "stop"), [(0, 24), (-1, 3), (5, 4), (24, 24), (0.0, 4), ("0", 4)])
def test_frames_that_do_not_exist_are_refused(make_cache: Make, start: Any, stop: int) -> None:
    with pytest.raises(UsageError, match=f"frames {start}:{stop} of 'v_3.avi' do not exist: .* frames 0:23"):
        Cache(make_cache().path).read("v_3.avi", "residual", start, stop)


def test_too_many_open_files_are_no_fault_of_the_disk(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(make_cache().path)
    expected = cache.read("v_3.avi", "flow")

    def none_left(*_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(open_shards.os, "open", none_left)
    with pytest.raises(CacheError, match=r"too many open files\), so raise the limit of open files \(ulimit -n\)"):
        cache.read("Archery/v_1.avi", "flow")
    np.testing.assert_array_equal(cache.read("v_3.avi", "flow"), expected)


def test_a_missing_shard_is_one_sentence(make_cache: Make) -> None:
    made = make_cache()
    shard_path(made.path, 1).unlink()
    cache = Cache(made.path)
    with pytest.raises(
        CacheError, match=r"shard-00001.h5 is missing, so restore it or run `vidprep verify .*/cache --rep"
    ):
        cache.read("v_3.avi", "residual")
    cache.read("Archery/v_1.avi", "residual")


@pytest.mark.parametrize("codec", CODECS)
def test_a_truncated_shard_names_the_chunk(make_cache: Make, codec: str) -> None:
    made = make_cache(codec=codec)
    path = shard_path(made.path, 1)
    cache = Cache(made.path)
    with h5py.File(path) as file:
        chunk = file["v_3.avi/residual"].id.get_chunk_info(3)
    with path.open("r+b") as file:
        file.truncate(chunk.byte_offset + 5)
    with pytest.raises(CacheError, match=r"shard-00001.h5 is damaged: chunk 3 of residual of 'v_3.avi' cannot be read"):
        cache.read("v_3.avi", "residual")
    np.testing.assert_array_equal(cache.read("v_3.avi", "residual", 0, 12), made.frames["v_3.avi", "residual"][:12])


@pytest.mark.parametrize("codec", CODECS)
def test_verify_notices_a_flipped_bit(make_cache: Make, codec: str) -> None:
    made = make_cache(codec=codec)
    path = shard_path(made.path, 1)
    with h5py.File(path) as file:
        chunk = file["v_3.avi/residual"].id.get_chunk_info(2)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size - 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(CacheError, match=r"chunk 2 of residual of 'v_3.avi' cannot be read"):
        Cache(made.path).read("v_3.avi", "residual", verify=True)


def test_without_an_index_the_command_is_named(make_cache: Make) -> None:
    made = make_cache()
    (made.path / "index.parquet").unlink()
    with pytest.raises(CacheError, match=r"index.parquet is missing, so rebuild it with `vidprep index"):
        Cache(made.path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -1, -500])
def test_a_cut_index_is_one_sentence(make_cache: Make, keep: int) -> None:
    path = make_cache().path
    index = path / "index.parquet"
    index.write_bytes(index.read_bytes()[:keep])
    with pytest.raises(CacheError, match=r"index.parquet is .*damaged.*|is not a table"):
        Cache(path)


def test_an_index_of_another_config_is_refused(make_cache: Make) -> None:
    path = make_cache().path
    CacheHeader(config={"size": 1}, tools={}, modalities=("residual",), classes=(), source="").write(path)
    with pytest.raises(CacheError, match="belongs to another config"):
        Cache(path)


def test_many_threads_read_alike(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_shards, "MAX_OPEN", 1)  # every other read closes the shard of a read in work
    made = make_cache(codec="zstd")
    cache = Cache(made.path)
    keys = list(made.frames) * 40

    def read(key: tuple[str, str]) -> bool:
        return bool(np.array_equal(cache.read(*key), made.frames[key]))

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(read, keys))


def test_pickles_are_small_and_read(make_cache: Make) -> None:
    made = make_cache()
    data = pickle.dumps(Cache(made.path))
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).read("v_3.avi", "flow"), made.frames["v_3.avi", "flow"])


def _with_one_shard_hidden(path: Path) -> Path:
    """Index the second shard alone; returns where the first one's sidecar is now."""
    sidecar = path / "shards" / "shard-00000.parquet"
    hidden = sidecar.rename(path / "hidden")
    build_index(path)
    return hidden


def test_an_index_made_again_is_not_mixed_with_the_old_one(make_cache: Make) -> None:
    """Its columns about chunks are read with the first clip, its checksums with the first that is verified."""
    made = make_cache()
    smaller = _with_one_shard_hidden(made.path)
    unread, unverified = Cache(made.path), Cache(made.path)
    expected = made.frames["v_3.avi", "flow"]
    np.testing.assert_array_equal(unverified.read("v_3.avi", "flow"), expected)
    pickled = pickle.dumps(unread)
    smaller.rename(made.path / "shards" / "shard-00000.parquet")
    build_index(made.path)
    with pytest.raises(CacheError, match=r"index\.parquet was made again since it was opened, so open the cache anew"):
        unread.read("v_3.avi", "flow")
    np.testing.assert_array_equal(unverified.read("v_3.avi", "flow"), expected)
    with pytest.raises(CacheError, match="was made again"):
        unverified.read("v_3.avi", "flow", verify=True)
    with pytest.raises(CacheError, match="has been indexed again since this cache was pickled, so open it anew"):
        pickle.loads(pickled)
    whole = Cache(made.path)
    _with_one_shard_hidden(made.path)
    with pytest.raises(CacheError, match="was made again"):
        whole.read("v_3.avi", "flow")


def test_an_index_made_again_of_the_same_shards_is_the_same(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    pickled = pickle.dumps(cache)
    build_index(made.path)
    for each in (cache, pickle.loads(pickled)):
        np.testing.assert_array_equal(each.read("v_3.avi", "flow"), made.frames["v_3.avi", "flow"])


FORKS = """
import os, sys, threading
from vidprep.pipeline.cache import Cache

cache = Cache(sys.argv[1])
expected = cache.read("v_3.avi", "residual").tobytes()
with cache._shards._lock:  # as if another thread were in the middle of a read
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            same = all(cache.read("v_3.avi", "residual").tobytes() == expected for _ in range(50))
            os._exit(0 if same else 1)
        children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
assert codes == [0, 0, 0], codes
assert "h5py" not in sys.modules, "reading must not need HDF5"
"""


def test_forked_workers_read_without_hdf5(make_cache: Make) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, make_cache().path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
