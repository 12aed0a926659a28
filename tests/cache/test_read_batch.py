"""Batches of clips: the same pixels as whole reads, into any memory, and one sentence for each wrong argument."""

from __future__ import annotations

import ctypes
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from vidprep.pipeline.cache import CODECS, Cache, DamagedClipsError, batch_reader, open_shards, shard_path
from vidprep.pipeline.errors import CacheError, UsageError

Make = Callable[..., Any]
Pread = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)


@pytest.fixture
def set_pread(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., int]], None]:
    """Replaces libc's ``pread`` by a function of Python."""

    def replace(function: Callable[..., int]) -> None:
        callback = Pread(function)
        monkeypatch.setattr(batch_reader, "_keep", callback, raising=False)
        others = batch_reader._libc()[1:]
        monkeypatch.setattr(batch_reader, "_libc", lambda: (ctypes.cast(callback, ctypes.c_void_p).value, *others))

    return replace


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_the_frames_of_each_clip(make_cache: Make, codec: str) -> None:
    made = make_cache(codec=codec)
    cache = Cache(made.path)
    clips = [("v_3.avi", 5), ("Archery/v_1.avi", 0), ("v_3.avi", 17)]
    batch = cache.read_batch("residual", clips, 3, (5, 7), stride=2)
    assert batch.shape == (3, 3, 5, 7, 3)
    for clip, (video, start) in zip(batch, clips, strict=True):
        np.testing.assert_array_equal(clip, made.frames[video, "residual"][start : start + 5 : 2, 2:7, 3:10])


def test_a_disk_that_cannot_read_is_damage(make_cache: Make, set_pread: Any) -> None:
    set_pread(lambda *_: -1)
    with pytest.raises(CacheError, match=r"chunk 0 of residual of .* cannot be read \(its bytes are not there\)"):
        Cache(make_cache().path).read("v_3.avi", "residual")


@pytest.mark.parametrize("codec", CODECS)
def test_short_and_interrupted_reads_go_on(make_cache: Make, codec: str, set_pread: Any) -> None:
    calls = []

    def stuttering(file: int, target: int, size: int, offset: int) -> int:
        calls.append(size)
        if len(calls) % 2:
            return -1  # as for a signal
        data = os.pread(file, min(size, 100), offset)
        ctypes.memmove(target, data, len(data))
        return len(data)

    set_pread(stuttering)
    made = make_cache(codec=codec)
    clip = Cache(made.path).read("v_3.avi", "residual", 2, 19)
    np.testing.assert_array_equal(clip, made.frames["v_3.avi", "residual"][2:19])
    assert len(calls) > 10


def test_a_disk_that_keeps_us_waiting_is_told_of_all(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_cache()
    cache = Cache(made.path)
    fadvise = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)
    getrusage = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_long))
    told: list[tuple[int, int]] = []
    asked: list[int] = []

    def tell(file: int, offset: int, size: int, advice: int) -> int:
        assert advice == os.POSIX_FADV_WILLNEED
        told.append((offset, size))
        return 0

    def count(who: int, usage: Any) -> int:
        asked.append(who)
        usage[16] = 5 if len(asked) < 3 else 6  # ru_nvcsw: it waits in the first clip
        return 0

    callbacks = fadvise(tell), getrusage(count)
    addresses = [ctypes.cast(callback, ctypes.c_void_p).value for callback in callbacks]
    pread = batch_reader._libc()[0]
    monkeypatch.setattr(batch_reader, "_libc", lambda: (pread, *addresses))
    batch = cache.read_batch("residual", [("v_3.avi", start) for start in (0, 7, 14, 3)], 5, num_threads=1)
    assert (batch[2] == made.frames["v_3.avi", "residual"][14:19]).all()
    chunks = cache._index.dataset(cache._index.rows("v_3.avi")[0])
    places = list(zip(chunks.chunk_offsets.tolist(), chunks.chunk_sizes.tolist(), strict=True))
    assert told == [places[chunk] for chunk in (1, 2, 3, 4, 0, 1)]  # of the clips that are left, four frames a chunk


def test_frames_in_any_order(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    positions = cache.positions(["v_3.avi", "Archery/v_2.avi", "v_3.avi"])
    assert cache.video_ids(positions) == ["v_3.avi", "Archery/v_2.avi", "v_3.avi"]
    frames = [[22, 0, 0, 5, 22], [3, 2, 1, 0, 3], [7, 7, 7, 7, 7]]
    clips = cache.read_frames("flow", positions, frames)
    assert clips.dtype == np.float16
    for clip, position, numbers in zip(clips, positions, frames, strict=True):
        np.testing.assert_array_equal(clip, made.frames[cache.video_ids([position])[0], "flow"][numbers])


def test_out_is_filled_and_returned(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    out = np.empty((1, 16, 9, 14, 3), np.uint8)
    assert cache.read_batch("residual", [("v_3.avi", 3)], out=out) is out
    np.testing.assert_array_equal(out[0], made.frames["v_3.avi", "residual"][3:19])


def test_a_tensor_is_filled_and_returned(make_cache: Make) -> None:
    torch = pytest.importorskip("torch")
    made = make_cache()
    cache = Cache(made.path)
    out = torch.empty((1, 16, 4, 5, 2), dtype=torch.float16)
    assert cache.read_batch("flow", [("v_3.avi", 3)], crop=(4, 5), out=out) is out
    np.testing.assert_array_equal(out[0].numpy(), made.frames["v_3.avi", "flow"][3:19, 2:6, 4:9])
    for wrong in (torch.empty(out.shape), torch.empty(out.shape, dtype=torch.float16, device="meta")):
        with pytest.raises(UsageError, match="out must be a"):
            cache.read_batch("flow", [("v_3.avi", 3)], crop=(4, 5), out=wrong)
    with pytest.raises(UsageError, match=r"out must be .* in CPU memory .*requires grad"):
        cache.read_batch("flow", [("v_3.avi", 3)], crop=(4, 5), out=out.requires_grad_())


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


WRONG = [
    ({"modality": "rgb"}, r"has no modality 'rgb': it holds residual, flow"),
    ({"clips": [("v_4.avi", 0)]}, r"no video of this cache is called 'v_4.avi': did you mean 'v_3.avi'"),
    ({"clips": [(3, 0)]}, r"no video of this cache is called 3"),
    ({"clips": [("v_3.avi", -1)]}, r"frames -1 to 3 of 'v_3.avi' do not all exist: .* the frames 0 to 22"),
    ({"clips": [("v_3.avi", 0), ("Archery/v_2.avi", 0)]}, r"frames 0 to 4 of 'Archery/v_2.avi' do not all .* 0 to 3$"),
    ({"clips": [("v_3.avi", 19)]}, r"frames 19 to 23 of 'v_3.avi' do not all exist"),
    ({"clips": [("v_3.avi", 0)], "stride": 6}, r"frames 0 to 24 of 'v_3.avi' do not all exist"),
    ({"clips": [("v_3.avi", 1.5)]}, r"first frames must be integers of shape \(clips,\), got shape \(1,\) float64"),
    ({"clips": [("v_3.avi", True)]}, r"first frames must be integers"),
    ({"clips": [("v_3.avi", 1), ("v_3.avi", True)]}, r"first frames must be integers"),
    ({"clips": [("v_3.avi", None)]}, r"first frames must be integers"),
    ({"clips": ["v_3.avi"]}, r"clips must be pairs \(video id, first frame\), got \['v_3.avi'\]"),
    ({"clips": 5}, r"clips must be pairs"),
    ({"clips": []}, r"give at least one clip"),
    ({"length": 0}, r"length must be an integer of at least 1, got 0"),
    ({"length": True}, r"length must be an integer of at least 1, got True"),
    ({"length": 2.0}, r"length must be an integer of at least 1, got 2.0"),
    ({"stride": 0}, r"stride must be an integer of at least 1, got 0"),
    ({"length": 24}, r"length 24 is more than there can be, 23, so give less"),
    ({"length": 2**70}, r"more than there can be, 23"),
    ({"stride": 2**70}, r"more than there can be, 22"),
    ({"clips": [("v_3.avi", 2**63 - 2)]}, r"do not all exist"),
    ({"clips": [("v_3.avi", 2**70)]}, r"first frames must be integers"),
    ({"num_threads": 0}, r"num_threads must be an integer of at least 1, got 0"),
    ({"crop": (10, 4)}, r"a crop of 10x4 is not inside the frames of 'v_3.avi': they are 9x14 \(height x width\)"),
    ({"crop": (0, 4)}, r"a crop of 0x4 is empty"),
    ({"crop": (4, -4)}, r"a crop of 4x-4 is empty"),
    ({"crop": (4.0, 4)}, r"crop must be None, integers \(height, width\), or integers .* got \(4.0, 4\)"),
    ({"crop": (4, True)}, r"crop must be None"),
    ({"crop": 4}, r"crop must be None"),
    ({"crop": (1, 2, 3)}, r"crop must be None"),
    ({"crop": "center"}, r"crop must be None"),
    ({"crop": [(0, 0, 4, 4)] * 2}, r"for each of the 1 clips, got \[\(0, 0, 4, 4\), \(0, 0, 4, 4\)\]"),
    ({"crop": [(0, 0, 4)]}, r"crop must be None"),
    ({"crop": np.zeros((1, 4))}, r"crop must be None, .* got shape \(1, 4\) float64"),
    ({"crop": [(-1, 0, 4, 4)]}, r"a crop of 4x4 at \(y=-1, x=0\) is not inside the frames"),
    ({"crop": [(0, 11, 4, 4)]}, r"a crop of 4x4 at \(y=0, x=11\) is not inside the frames"),
    ({"crop": [(0, 2**62, 4, 4)]}, r"is not inside the frames"),
    ({"crop": [(0, 2**63 - 2, 4, 4)]}, r"is not inside the frames"),
    (
        {"clips": [("v_3.avi", 0)] * 2, "crop": [(0, 0, 4, 4), (0, 0, 4, 5)]},
        r"boxes of a batch must be of one size, got 4x4 and 4x5",
    ),
    ({"out": np.empty((1, 5, 9, 14, 2), np.uint8)}, r"out must be a C-contiguous \(1, 5, 9, 14, 3\) uint8 array"),
    ({"out": np.empty((1, 5, 9, 14, 3), np.int8)}, r"got \(1, 5, 9, 14, 3\) int8"),
    ({"out": np.empty((1, 5, 9, 28, 3), np.uint8)[:, :, :, ::2]}, r"uint8 with gaps"),
    ({"out": read_only(np.empty((1, 5, 9, 14, 3), np.uint8))}, r"out is read-only"),
    ({"out": [1, 2]}, r"out must be a NumPy array or a torch tensor in CPU memory, got list"),
]


@pytest.mark.parametrize(("arguments", "match"), WRONG)
def test_wrong_arguments_are_one_sentence(make_cache: Make, arguments: Any, match: str) -> None:
    request = {"modality": "residual", "clips": [("v_3.avi", 0)], "length": 5, **arguments}
    with pytest.raises(UsageError, match=match) as error:
        Cache(make_cache().path).read_batch(**request)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("positions", "frames", "match"),
    [
        ([4], [[0]], "position 4 is no video: this cache has the positions 0 to 3"),
        ([-1], [[0]], "position -1 is no video"),
        ([0.0], [[0]], r"positions must be integers of shape \(clips,\)"),
        ([True], [[0]], "positions must be integers"),
        (["v_3.avi"], [[0]], "positions must be integers"),
        ([0, 1], [[0]], "positions name 2 videos and frames 1: give as many of each"),
        ([0], [0], r"frames must be integers of shape \(clips, length\)"),
        ([0], [[]], r"give at least one clip of one frame"),
        ([0, 0], [[1], [2, 3]], r"frames must be integers"),
        (np.zeros(0, int), np.zeros((0, 4), int), "give at least one clip"),
        (np.array([0]), np.array([[True]]), "frames must be integers"),
        ([0], [[11]], r"frames 11 to 11 of 'Archery/v_1.avi' do not all exist"),
        ([0], [[2**40]], "do not all exist"),
        ([0], [[2**64]], "frames must be integers"),
    ],
)
def test_wrong_places_are_one_sentence(make_cache: Make, positions: Any, frames: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Cache(make_cache().path).read_frames("residual", positions, frames)


def test_videos_that_lack_a_modality_or_differ_in_size(cache_of: Make) -> None:
    frames = np.zeros((4, 5, 6, 1), np.uint8)
    cache = Cache(cache_of({"a": {"m": frames}, "b": {"n": frames}, "c": {"m": frames[:2, :4]}}))
    assert cache.frame_counts("m").tolist() == [4, 0, 2]
    assert cache.frame_sizes("m").tolist() == [[5, 6], [0, 0], [4, 6]]
    with pytest.raises(UsageError, match="'b' has no modality 'm': this cache holds n"):
        cache.read_batch("m", [("a", 0), ("b", 0)], 1)
    with pytest.raises(UsageError, match=r"of 'a' are 5x6 and those of 'c' 4x6 .*: give a crop to read them together"):
        cache.read_batch("m", [("a", 0), ("c", 0)], 1)
    assert cache.read_batch("m", [("a", 0), ("c", 0)], 1, (4, 6)).shape == (2, 1, 4, 6, 1)
    with pytest.raises(UsageError, match="a crop of 5x6 is not inside the frames of 'c': they are 4x6"):
        cache.read_batch("m", [("a", 0), ("c", 0)], 1, (5, 6))


def test_what_all_videos_have(make_cache: Make) -> None:
    cache = Cache(make_cache().path)
    assert cache.frame_counts("flow").tolist() == [11, 4, 1, 23]
    assert cache.labels == ["Archery"] * 4
    assert cache.splits == ["train"] * 4
    residual, flow = cache.frame_format("residual"), cache.frame_format("flow")
    assert (residual.dtype, residual.channels, residual.scale_factor) == (np.uint8, 3, None)
    assert (flow.dtype, flow.channels, flow.add_offset) == (np.float16, 2, -20.0)


def test_positions_of_many(make_cache: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(make_cache().path)
    many = ["v_3.avi", "Bowling/v ä.mp4"] * 1500
    assert cache.positions(many).tolist() == [3, 2] * 1500
    for wrong in ("v_4.avi", "\udc80", 7):
        with pytest.raises(KeyError, match="no video of this cache is called"):
            cache.positions([*many, wrong])


def damage_chunk(path: Any, shard: int, name: str, chunk: int) -> None:
    import h5py

    file = shard_path(path, shard)
    with h5py.File(file) as shards:
        info = shards[name].id.get_chunk_info(chunk)
    with file.open("r+b") as shards:
        shards.seek(info.byte_offset)
        shards.write(b"\xff" * 40)


@pytest.mark.parametrize("threads", [1, None])
def test_all_but_the_damaged_clips_are_read(make_cache: Make, threads: int | None) -> None:
    made = make_cache()
    damage_chunk(made.path, 1, "v_3.avi/residual", 2)  # frames 8 to 11
    cache = Cache(made.path)
    clips = [("v_3.avi", 0), ("v_3.avi", 7), ("Archery/v_1.avi", 2), ("v_3.avi", 11), ("v_3.avi", 12)]
    out = np.zeros((5, 3, 9, 14, 3), np.uint8)
    with pytest.raises(DamagedClipsError) as caught:
        cache.read_batch("residual", clips, 3, out=out, num_threads=threads)
    assert [(item.clip, item.video, item.shard, item.chunk) for item in caught.value.damage] == [
        (1, "v_3.avi", 1, 2),
        (3, "v_3.avi", 1, 2),
    ]
    assert str(caught.value) == (
        f"{shard_path(made.path, 1)} is damaged: chunk 2 of residual of 'v_3.avi' cannot be read (its LZ4 data is "
        f"damaged), as are others: 2 of 5 clips, so run `vidprep verify {made.path} --repair`"
    )
    for clip in (0, 2, 4):
        video, start = clips[clip]
        np.testing.assert_array_equal(out[clip], made.frames[video, "residual"][start : start + 3])
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.damage) == (str(caught.value), caught.value.damage)


def test_a_batch_of_more_shards_than_may_be_open(cache_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_shards, "MAX_OPEN", 2)
    monkeypatch.setattr(batch_reader, "_MOST_SHARDS", 2)
    videos = {f"v{i}": {"m": np.full((5, 4, 4, 1), i, np.uint8)} for i in range(9)}
    cache = Cache(cache_of(videos))
    order = [3, 8, 0, 0, 7, 1, 2, 6, 5, 4, 8]
    before = set(os.listdir("/proc/self/fd"))
    batch = cache.read_batch("m", [(f"v{i}", i % 4) for i in order], 2)
    assert batch[:, 0, 0, 0, 0].tolist() == order
    assert (batch == batch[:, :1, :1, :1]).all()
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 2
    damage_chunk(cache.path, 2, "v2/m", 0)
    damage_chunk(cache.path, 8, "v8/m", 0)
    with pytest.raises(DamagedClipsError) as caught:
        cache.read_batch("m", [(f"v{i}", i % 4) for i in order], 2)
    assert [item.clip for item in caught.value.damage] == [1, 6, 10]


def test_a_shard_deleted_under_the_reader(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    cache.read("v_3.avi", "residual")
    shard_path(made.path, 1).unlink()
    np.testing.assert_array_equal(cache.read("v_3.avi", "residual"), made.frames["v_3.avi", "residual"])  # still open
    with pytest.raises(CacheError, match=r"shard-00001.h5 is missing, so restore it or run"):
        pickle.loads(pickle.dumps(cache)).read_batch("residual", [("v_3.avi", 0), ("Archery/v_1.avi", 0)], 2)


def test_eight_threads_on_one_cache(make_cache: Make) -> None:
    made = make_cache(codec="zstd")
    cache = Cache(made.path)

    def read(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        positions, starts = rng.choice([0, 3], 20), rng.integers(0, 8, 20)
        frames = starts[:, None] + np.arange(3)
        clips = cache.read_frames("residual", positions, frames, num_threads=int(rng.integers(1, 4)))
        names = cache.video_ids(positions)
        return all(
            np.array_equal(clip, made.frames[name, "residual"][start : start + 3])
            for clip, name, start in zip(clips, names, starts, strict=True)
        )

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(read, range(80)))


WORKERS = """
import multiprocessing, os, sys
import numpy as np
from vidprep.pipeline.cache import Cache

def digest(cache):
    clips = [("v_3.avi", start) for start in range(12)]
    return [cache.read_batch("residual", clips, 9, (5, 6)).tobytes() for _ in range(20)]

def work(cache, queue, expected):
    queue.put(all(found == expected for found in digest(cache)))

if __name__ == "__main__":
    cache = Cache(sys.argv[1])
    expected = digest(cache)[0]  # its files are open, its threads have run
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        workers = [context.Process(target=work, args=(cache, queue, expected)) for _ in range(2)]
        for worker in workers:
            worker.start()
        assert [queue.get(timeout=60) for _ in workers] == [True] * 2, method
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    assert digest(cache)[0] == expected
    assert "h5py" not in sys.modules
"""


def test_forked_and_spawned_workers(make_cache: Make, tmp_path: Any) -> None:
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script, make_cache().path], capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


FORK_WHILE_LOADING = """
import os, sys, threading
from vidprep.pipeline.cache import Cache
from vidprep.pipeline.cache.index_table import IndexTable

Cache(sys.argv[1]).read("v_3.avi", "residual")  # compiles
cache = Cache(sys.argv[1])
loading, go_on = threading.Event(), threading.Event()
load = IndexTable._lists

def slow(self, *columns):
    if not loading.is_set():
        loading.set()
        go_on.wait()
    return load(self, *columns)

IndexTable._lists = slow
thread = threading.Thread(target=cache.read, args=("v_3.avi", "residual"))
thread.start()
loading.wait()
child = os.fork()
if child == 0:
    cache.read("v_3.avi", "residual")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
go_on.set()
thread.join()
"""


def test_a_fork_while_a_thread_reads_the_index(make_cache: Make) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_WHILE_LOADING, make_cache().path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_batches_ahead_are_the_same(make_cache: Make) -> None:
    made = make_cache()
    cache = Cache(made.path)
    batches = [[("v_3.avi", start), ("Archery/v_1.avi", start % 6)] for start in range(18)]
    ahead = cache.read_batches("residual", batches, 5, (4, 6), prefetch_bytes=2000)
    for clips, batch in zip(batches, ahead, strict=True):
        np.testing.assert_array_equal(batch, cache.read_batch("residual", clips, 5, (4, 6)))


def test_batches_ahead_stay_as_they_are_while_in_use(make_cache: Make) -> None:
    cache = Cache(make_cache().path)
    batches = [[("v_3.avi", start)] for start in range(18)]
    kept = [batch[0, 1:] for batch in cache.read_batches("residual", batches, 5, prefetch_bytes=10_000)]
    for start, clip in enumerate(kept):
        np.testing.assert_array_equal(clip, cache.read("v_3.avi", "residual", start + 1, start + 5))


def test_errors_ahead_come_in_their_turn(make_cache: Make) -> None:
    cache = Cache(make_cache().path)
    batches = cache.read_batches("residual", [[("v_3.avi", 0)], [("v_3.avi", 22)], [("v_3.avi", 0)]], 5)
    assert next(batches).shape == (1, 5, 9, 14, 3)
    with pytest.raises(UsageError, match="frames 22 to 26"):
        next(batches)
    assert list(batches) == []
    with pytest.raises(UsageError, match="prefetch_bytes must be an integer of at least 1"):
        cache.read_batches("residual", [], prefetch_bytes=0)
