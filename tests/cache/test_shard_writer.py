"""Shards: what HDF5 reads in them, that their bytes repeat, and that a failure leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (h5py needs its filters)
import numpy as np
import pytest

from vidprep.pipeline.cache import CODECS, DatasetSpec, ShardWriter, VideoEntry
from vidprep.pipeline.cache import hdf5 as hdf5_module
from vidprep.pipeline.cache import spool as spool_module
from vidprep.pipeline.cache import writer as writer_module
from vidprep.pipeline.cache.sidecar import read_sidecar
from vidprep.pipeline.errors import OutputError, UsageError, VideoError

SPEC = DatasetSpec(modality="residual", height=9, width=14, channels=3, dtype="uint8")
ENTRY = VideoEntry(
    label="Archery",
    split=None,
    fps=25.0,
    num_frames=40,
    codec="h264",
    pixel_format="yuv420p",
    width=320,
    height=240,
    rotation=0,
    decoder="pyav",
)
FRAMES = np.random.default_rng(0).integers(0, 99, (37, 9, 14, 3), np.uint8)


def shard_writer(folder: Path, **options: Any) -> ShardWriter:
    settings = {"codec": "lz4", "chunk_frames": 4, "threads": 0, "config_hash": "0" * 32, **options}
    return ShardWriter(folder / "shard-00003.h5", **settings)


def write_video(
    shard: ShardWriter, video: str, frames: Any = FRAMES, portions: tuple[int, ...] = (), spec: DatasetSpec = SPEC
) -> None:
    with shard.video(video) as out:
        out.add_dataset(spec)
        for portion in np.split(frames, portions):
            out.write(spec.modality, portion)
        out.describe(ENTRY)


def break_video(shard: ShardWriter, video: str, num_frames: int) -> None:
    """A video whose decoder gives up after some frames."""

    def fail() -> None:
        with shard.video(video) as out:
            out.add_dataset(SPEC)
            out.write("residual", FRAMES[:num_frames])
            raise VideoError("decode", "it is broken")

    with pytest.raises(VideoError):
        fail()


def write_shard(folder: Path, videos: int, **options: Any) -> None:
    with shard_writer(folder, **options) as shard:
        for number in range(videos):
            write_video(shard, f"{number}")
        shard.finish()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float16", "float32"])
@pytest.mark.parametrize("codec", CODECS)
def test_hdf5_reads_the_frames(tmp_path: Path, codec: str, dtype: str, threads: int) -> None:
    spec = DatasetSpec(modality="m", height=9, width=14, channels=3, dtype=dtype, scale_factor=0.5, add_offset=-20.0)
    with shard_writer(tmp_path, codec=codec, threads=threads) as shard:
        write_video(shard, "Archery/v_1.avi", FRAMES.astype(dtype), (1, 2, 17), spec)
        write_video(shard, "Archery/v ä.avi", FRAMES[:4].astype(dtype), (), spec)
        shard.finish()
    with h5py.File(tmp_path / "shard-00003.h5") as file:
        dataset = file["Archery/v_1.avi/m"]
        assert dataset.dtype == dtype
        assert dataset.chunks == (4, 9, 14, 3)
        np.testing.assert_array_equal(dataset[:], FRAMES.astype(dtype))
        np.testing.assert_array_equal(file["Archery/v ä.avi/m"][:], FRAMES[:4].astype(dtype))
        assert dict(dataset.attrs) == {"scale_factor": 0.5, "add_offset": -20.0}
        assert file["Archery/v_1.avi"].attrs["label"].decode() == "Archery"
        assert file["Archery/v_1.avi"].attrs["fps"] == 25.0
        assert file.attrs["vidprep_format"] == 1


def test_the_last_chunk_is_padded_with_zeros(tmp_path: Path) -> None:
    with shard_writer(tmp_path, codec="none") as shard:
        write_video(shard, "v", FRAMES[:6], (3, 5))  # the buffer holds frames of the chunk before
        shard.finish()
    with h5py.File(tmp_path / "shard-00003.h5") as file:
        _, last = file["v/residual"].id.read_direct_chunk((4, 0, 0, 0))
    frames = np.frombuffer(last, np.uint8).reshape(4, 9, 14, 3)
    np.testing.assert_array_equal(frames[:2], FRAMES[4:6])
    assert not frames[2:].any()


@pytest.mark.parametrize("threads", [0, 2])
def test_the_callers_array_may_be_used_again_at_once(tmp_path: Path, threads: int) -> None:
    buffer = np.empty_like(FRAMES[:8])
    with shard_writer(tmp_path, threads=threads) as shard:
        with shard.video("v") as out:
            out.add_dataset(SPEC)
            for start in range(0, 32, 8):
                buffer[:] = FRAMES[start : start + 8]
                out.write("residual", buffer)
                buffer[:] = 255
            out.describe(ENTRY)
        shard.finish()
    with h5py.File(tmp_path / "shard-00003.h5") as file:
        np.testing.assert_array_equal(file["v/residual"][:], FRAMES[:32])


def test_bytes_depend_on_nothing_but_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on time, threads, portions, memory, or videos that failed half-way in between."""

    runs: list[dict[str, bytes]] = []
    for run, (threads, portions, failing, memory) in enumerate(
        [(0, (), 0, 1 << 20), (1, (1, 2, 3), 5, 1 << 20), (3, (20,), 30, 3000), (0, (4, 8, 36), 0, 1)]
    ):
        monkeypatch.setattr(spool_module.Spool.__init__, "__defaults__", (memory,))
        folder = tmp_path / str(run)
        with shard_writer(folder, threads=threads) as shard:
            write_video(shard, "a", FRAMES, portions)
            if failing:
                break_video(shard, "b", failing)
            shard.fail("b", "decode", "it is broken")
            write_video(shard, "c", FRAMES[:5])
            shard.finish()
        runs.append(files_of(folder))
        if run == 0:
            time.sleep(1.05)  # HDF5's time stamps count seconds
    assert sorted(runs[0]) == ["shard-00003.h5", "shard-00003.parquet"]
    assert all(run == runs[0] for run in runs)


def test_a_video_that_failed_can_be_written_again(tmp_path: Path) -> None:
    with shard_writer(tmp_path, threads=2) as shard:
        break_video(shard, "v", 9)
        write_video(shard, "v")
        shard.finish()
    with h5py.File(tmp_path / "shard-00003.h5") as file:
        np.testing.assert_array_equal(file["v/residual"][:], FRAMES)


def test_the_sidecar_lists_every_video_and_failure(tmp_path: Path) -> None:
    with shard_writer(tmp_path) as shard:
        write_video(shard, "a")
        shard.fail("b", "open", "it is no video")
        shard.finish()
    _, table, info = read_sidecar(tmp_path / "shard-00003.parquet")
    assert info.videos == ("a", "b")
    assert [(f.video, f.stage, f.reason) for f in info.failures] == [("b", "open", "it is no video")]
    assert info.file_size == (tmp_path / "shard-00003.h5").stat().st_size
    row = table.to_pylist()[0]
    assert (row["video"], row["num_frames"], row["source_frames"], row["shard"]) == ("a", 37, 40, 3)
    assert len(row["chunk_offsets"]) == len(row["chunk_sizes"]) == len(row["chunk_checksums"]) == 10


def test_a_shard_without_any_video_is_a_shard(tmp_path: Path) -> None:
    with shard_writer(tmp_path) as shard:
        shard.fail("b", "open", "it is no video")
        shard.finish()
    _, table, info = read_sidecar(tmp_path / "shard-00003.parquet")
    assert table.num_rows == 0
    assert info.videos == ("b",)


def test_without_finish_nothing_stays(tmp_path: Path) -> None:
    with shard_writer(tmp_path) as shard:
        write_video(shard, "v")
    assert files_of(tmp_path) == {}
    with pytest.raises(ValueError, match="frames must be"), shard_writer(tmp_path) as shard:
        write_video(shard, "v", FRAMES[0])
    assert files_of(tmp_path) == {}


def test_temporary_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / ".shard-00003.h5.other-host-77.tmp"
    other = tmp_path / ".shard-00004.h5.other-host-77.tmp"  # another shard may be in work
    stale.write_bytes(b"x")
    other.write_bytes(b"x")
    with shard_writer(tmp_path) as shard:
        shard.finish()
    assert not stale.exists()
    assert other.exists()


@pytest.mark.parametrize(
    "frames", [FRAMES[:, :8], FRAMES.astype(np.int16), FRAMES[0], FRAMES[..., :1]], ids=["shape", "dtype", "ndim", "C"]
)
def test_other_frames_than_announced_are_refused(tmp_path: Path, frames: Any) -> None:
    with shard_writer(tmp_path) as shard, pytest.raises(ValueError, match=r"residual frames must be \(n, 9, 14, 3\)"):
        write_video(shard, "v", frames)


@pytest.mark.parametrize("video", ["", "/v", "a/../b", "a//b", "v\n", "v\udc80"])
def test_ids_that_are_no_paths_are_refused(tmp_path: Path, video: str) -> None:
    with shard_writer(tmp_path) as shard, pytest.raises(UsageError):
        write_video(shard, video)


def test_a_video_half_stored_costs_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = DatasetSpec(modality="rgb", height=9, width=14, channels=3, dtype="uint8")
    create = hdf5_module.Hdf5File.create_dataset

    def create_or_fail(self: Any, path: str, *arguments: Any) -> Any:
        if path.endswith("/rgb"):
            raise MemoryError("none left")
        return create(self, path, *arguments)

    monkeypatch.setattr(hdf5_module.Hdf5File, "create_dataset", create_or_fail)

    def write() -> None:
        with shard_writer(tmp_path) as shard, shard.video("v.mp4") as out:
            for spec in (SPEC, other):
                out.add_dataset(spec)
                out.write(spec.modality, FRAMES)
            out.describe(ENTRY)

    with pytest.raises(OutputError, match=r"v.mp4 could not be stored in .*MemoryError: none left.*run it again"):
        write()
    assert files_of(tmp_path) == {}


def test_a_read_only_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # tests may run as root, whom a mode does not stop
    with pytest.raises(OutputError, match=r"cannot write .*shard-00003.h5: permission denied; choose a folder"):
        shard_writer(tmp_path).__enter__()


def test_a_shard_that_does_not_read_back_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: object) -> Iterator[int]:
        return iter(range(10))

    with shard_writer(tmp_path) as shard:
        write_video(shard, "v")
        monkeypatch.setattr(writer_module, "chunk_checksums", other)
        with pytest.raises(OutputError, match="does not read back as it was written"):
            shard.finish()
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize("capacity", [0, 100, 2000, 9000, 14_000])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capacity: int, code: int
) -> None:
    real = hdf5_module.write_all

    def write_all(fd: int, data: Any, offset: int) -> None:
        if offset + memoryview(data).nbytes > capacity:
            raise OSError(code, os.strerror(code))
        real(fd, data, offset)

    monkeypatch.setattr(hdf5_module, "write_all", write_all)
    with pytest.raises(OutputError, match=r"shard-00003.h5: the disk .*are free\), so make room"):
        write_shard(tmp_path, 3)
    assert files_of(tmp_path) == {}


SCRIPT = """
import resource, sys, numpy as np
from pathlib import Path
from vidprep.pipeline.cache import DatasetSpec, ShardWriter, VideoEntry
from vidprep.pipeline.errors import OutputError

folder, limit, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
from vidprep.pipeline.cache.spool import Spool
Spool.__init__.__defaults__ = (memory,)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
frames = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
spec = DatasetSpec(modality="rgb", height=32, width=32, channels=3, dtype="uint8")
entry = VideoEntry(label=None, split=None, fps=25.0, num_frames=50, codec="h264", pixel_format="yuv420p", width=32,
                   height=32, rotation=0, decoder="pyav")
writer = ShardWriter(folder / "shard-00000.h5", codec="lz4", chunk_frames=8, threads=1, config_hash="0")
try:
    with writer as shard:
        for number in range(20):
            with shard.video(f"class/{number}") as out:
                out.add_dataset(spec)
                out.write("rgb", frames)
                out.describe(entry)
        shard.finish()
except OutputError as error:
    print("REFUSED:", error)
"""


def run_script(folder: Path, limit: int, memory: int = 1 << 22) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(limit), str(memory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("limit", [300, 50_000, 1_000_000, 3_080_000])
def test_a_file_size_limit_does_not_break_hdf5(tmp_path: Path, limit: int) -> None:
    """The process ends by itself, without a word from HDF5, and no file is left."""
    output = run_script(tmp_path, limit)
    assert "REFUSED: cannot write" in output
    assert "size limit" in output
    assert "so make room" in output
    assert files_of(tmp_path) == {}


def test_a_file_size_limit_met_by_the_spool(tmp_path: Path) -> None:
    output = run_script(tmp_path, 100_000, memory=1000)
    assert "REFUSED: cannot write" in output
    assert "shard-00000.h5" in output
    assert "so make room" in output
    assert files_of(tmp_path) == {}


def test_a_really_full_disk(tmp_path: Path) -> None:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        output = run_script(disk, 0)
        assert "the disk is full" in output
        assert "so make room" in output
        assert files_of(disk) == {}
    finally:
        subprocess.run([umount, disk], check=True)


def test_videos_written_side_by_side_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of their frames; one fails half-way and is written again, another one never ends."""
    monkeypatch.setattr(writer_module, "_LEAST_SPOOL_BYTES", 2000)  # so that the files of spools are in use
    monkeypatch.setattr(writer_module, "MEMORY_BYTES", 4000)
    videos = {"a": FRAMES, "b": FRAMES[::-1], "c": FRAMES[5:]}
    (tmp_path / "one").mkdir()
    with shard_writer(tmp_path / "one") as shard:
        for name, frames in videos.items():
            write_video(shard, name, frames)
        shard.finish()
    for threads in (0, 2):
        folder = tmp_path / f"{threads}"
        folder.mkdir()
        with shard_writer(folder, threads=threads, in_flight=4) as shard:
            blocks = {name: shard.video(name) for name in ("c", "d", "a")}
            writers = {name: block.__enter__() for name, block in blocks.items()}
            break_video(shard, "b", 9)
            blocks["b"] = shard.video("b")
            writers["b"] = blocks["b"].__enter__()
            for writer in writers.values():
                writer.add_dataset(SPEC)
                writer.describe(ENTRY)
            for start in range(0, len(FRAMES), 3):
                writers["d"].write("residual", FRAMES[:3])
                for name, frames in videos.items():
                    if start < len(frames):
                        writers[name].write("residual", frames[start : start + 3])
            assert blocks["d"].__exit__(VideoError, VideoError("decode", "it is broken"), None) is False
            for name in videos:
                blocks[name].__exit__(None, None, None)
            shard.finish()
        assert files_of(folder) == files_of(tmp_path / "one")


def test_no_room_for_any_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in_flight must be >= 1, got 0"):
        shard_writer(tmp_path, in_flight=0)
