"""DALI's frames against a full FFmpeg decode and a float64 resize: on its CPU backend, and on a GPU if there is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from executors import need_gpu
from media import moving_texture, write_clip
from references import yuv_to_rgb_reference
from vidprep.pipeline.decode.dali import DaliSource, open_dali
from vidprep.pipeline.decode.dali_lane import Lane, first_sentence, lanes
from vidprep.pipeline.decode.demux import scan
from vidprep.pipeline.decode.frames import FrameChunk
from vidprep.pipeline.decode.sampling import pick_frames
from vidprep.pipeline.decode.size import FrameSize
from vidprep.pipeline.errors import MissingExtraError, VideoError

pytest.importorskip("nvidia.dali", reason="DALI is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:nvidia.*")

SHOWN_ONLY = {"auto-alt-ref": "0", "lag-in-frames": "0"}
VP8 = {"codec": "libvpx", "options": SHOWN_ONLY}
VP9 = {"codec": "libvpx-vp9", "options": SHOWN_ONLY}
MJPEG = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
H264 = {"codec": "libx264", "b_frames": 2}
HEVC = {"codec": "libx265", "b_frames": 2}
MPEG4 = {"codec": "mpeg4", "b_frames": 2}
CODECS = [
    ("cpu", "a.webm", VP8),
    ("cpu", "a.webm", VP9),
    ("cpu", "a.mkv", MJPEG),
    ("cuda:0", "a.mp4", H264),
    ("cuda:0", "a.mp4", HEVC),
    ("cuda:0", "a.avi", MPEG4),
    ("cuda:0", "a.webm", VP8),
    ("cuda:0", "a.webm", VP9),
]
DEVICES = [("cpu", "a.webm", VP9), ("cuda:0", "a.mp4", H264)]
LARGE = (160, 208)  # NVDEC takes no HEVC below 144 and no VP9 below 128 pixels
MEAN_TOLERANCE = 2.0  # grey levels: DALI converts before it resizes, and places chroma between luma samples


def on(device: str) -> str:
    if device != "cpu":
        need_gpu()
    return device


def to_host(frames: Any) -> np.ndarray:
    return frames if isinstance(frames, np.ndarray) else frames.get()


def reference(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """All frames, decoded by FFmpeg, converted and resized in float64, upright."""
    found = scan(path)
    assert found.format is not None
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray() for frame in container.decode(video=0)]  # yuv420p: planes under each other
    height, width = found.stored
    chroma = (-(-height // 2), -(-width // 2))
    stored_size = size or (found.info.height, found.info.width)
    if found.info.rotation in (90, 270):
        stored_size = stored_size[::-1]
    frames = []
    for picture in pictures:
        flat, luma, quarter = picture.ravel(), height * width, chroma[0] * chroma[1]
        y = flat[:luma].reshape(1, height, width)
        u, v = (flat[luma + i * quarter : luma + (i + 1) * quarter].reshape(1, *chroma) for i in range(2))
        frames.append(yuv_to_rgb_reference(y, u, v, stored_size, found.format)[0])
    return np.rot90(np.stack(frames), -found.info.rotation // 90, axes=(1, 2))


def decode(path: Path, device: str, **options: Any) -> tuple[np.ndarray, np.ndarray, list[FrameChunk]]:
    source = open_dali(path, device=device, **options)
    try:
        chunks = list(source)
    finally:
        source.close()
    frames = np.concatenate([to_host(chunk.frames) for chunk in chunks])
    return frames, np.concatenate([chunk.times for chunk in chunks]), chunks


def assert_close(frames: np.ndarray, expected: np.ndarray) -> None:
    assert frames.shape == expected.shape
    per_frame = np.abs(frames - expected).mean(axis=(1, 2, 3))
    assert per_frame.max() < MEAN_TOLERANCE, per_frame.round(2)


@pytest.mark.parametrize(("device", "name", "codec"), CODECS)
def test_frames_are_those_of_ffmpeg(tmp_path: Path, device: str, name: str, codec: dict) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=20, **codec)
    frames, times, _ = decode(path, on(device), size=FrameSize(height=64, width=80))
    assert_close(frames, reference(path, (64, 80)))
    np.testing.assert_allclose(times, scan(path).times)
    # a frame too early or too late would be seen
    assert np.abs(frames[:-1] - reference(path, (64, 80))[1:]).mean() > 2 * MEAN_TOLERANCE


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
@pytest.mark.parametrize("size", [None, (160, 208), (200, 300), (33, 31), (7, 300)])
def test_sizes(tmp_path: Path, device: str, name: str, codec: dict, size: tuple[int, int] | None) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=3, **codec)
    wanted = None if size is None else FrameSize(height=size[0], width=size[1])
    frames, _, _ = decode(path, on(device), size=wanted)
    assert_close(frames, reference(path, size))


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
def test_short_side(tmp_path: Path, device: str, name: str, codec: dict) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=2, **codec)
    frames, _, _ = decode(path, on(device), size=FrameSize(short_side=80))
    assert frames.shape == (2, 80, 104, 3)


@pytest.mark.parametrize(("device", "name", "codec"), [("cpu", "a.mp4", VP9), ("cuda:0", "a.mp4", H264)])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation(tmp_path: Path, device: str, name: str, codec: dict, rotation: int) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=5, rotation=rotation, **codec)
    frames, _, chunks = decode(path, on(device), size=FrameSize(height=60, width=50))
    assert_close(frames, reference(path, (60, 50)))
    assert chunks[0].frames.flags.c_contiguous
    source = open_dali(path, device=device)
    assert source.info.rotation == rotation
    assert (source.info.height, source.info.width) == (LARGE if rotation == 180 else LARGE[::-1])
    source.close()


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colour_matrix(tmp_path: Path, device: str, name: str, codec: dict, matrix: str) -> None:
    original = moving_texture(4, LARGE)
    original[:, :80, :104] = (220, 60, 40)  # where a wrong matrix is off by more than 10 levels
    path = write_clip(tmp_path / name, original, matrix=matrix, full_range=False, **codec)
    frames, _, _ = decode(path, on(device))
    assert_close(frames, reference(path))
    middle = frames[:, 20:60, 20:80].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(middle, (220, 60, 40), atol=4)


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
@pytest.mark.parametrize("num_frames", [1, 2, 16, 33])
def test_chunks(tmp_path: Path, device: str, name: str, codec: dict, num_frames: int) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=num_frames, gop=10, **codec)
    results = []
    for chunk_frames in (1, 7, 16):
        frames, _, chunks = decode(path, on(device), chunk_frames=chunk_frames)
        assert [chunk.start for chunk in chunks] == list(range(0, num_frames, chunk_frames))
        assert all(len(chunk.frames) == chunk_frames for chunk in chunks[:-1])
        results.append(frames)
    assert len(results[0]) == num_frames
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
@pytest.mark.parametrize(("chunk_frames", "lead"), [(7, 1), (3, 5), (8, 40)])
def test_a_chunk_begins_with_frames_of_the_one_before(
    tmp_path: Path, device: str, name: str, codec: dict, chunk_frames: int, lead: int
) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=33, **codec)
    whole, times, _ = decode(path, on(device))
    _, new_times, chunks = decode(path, on(device), chunk_frames=chunk_frames, lead=lead)
    np.testing.assert_array_equal(new_times, times)
    assert [chunk.lead for chunk in chunks] == [0] + [lead] * (len(chunks) - 1)
    for chunk in chunks:
        end = chunk.start + len(chunk.times)
        assert len(chunk.times) == chunk_frames + lead - chunk.lead or end == 33
        np.testing.assert_array_equal(to_host(chunk.frames), whole[chunk.start - chunk.lead : end])


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
def test_long_videos_in_parts(
    tmp_path: Path, device: str, name: str, codec: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=40, gop=9, **codec)
    whole, _, _ = decode(path, on(device), chunk_frames=4)
    monkeypatch.setattr("vidprep.pipeline.decode.dali.parts", parts_of_one_byte)
    cut, _, chunks = decode(path, device, chunk_frames=4)
    assert [len(chunk.frames) for chunk in chunks] == [4] * 10
    np.testing.assert_array_equal(cut, whole)


def parts_of_one_byte(path: Path, scanned: Any) -> Iterator[Any]:
    from vidprep.pipeline.decode.dali_feed import parts

    yield from parts(path, scanned, part_bytes=1)


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
@pytest.mark.parametrize("fps", [10, Fraction(30000, 1001), 60])
def test_fps(tmp_path: Path, device: str, name: str, codec: dict, fps: Fraction | int) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=30, fps=25, **codec)
    every, source_times, _ = decode(path, on(device))
    frames, times, chunks = decode(path, device, fps=fps, chunk_frames=7)
    indices, expected_times = pick_frames(source_times, fps, 25)
    np.testing.assert_array_equal(frames, every[indices])
    np.testing.assert_allclose(times, expected_times)
    assert [chunk.start for chunk in chunks] == list(range(0, len(indices), 7))


@pytest.mark.parametrize(("device", "name", "codec"), [("cpu", "a.mkv", VP9), ("cuda:0", "a.mp4", H264)])
def test_variable_rate(tmp_path: Path, device: str, name: str, codec: dict) -> None:
    instants = [0, 0.04, 0.3, 0.34, 0.38, 1.0, 1.5]
    path = write_clip(tmp_path / name, size=LARGE, num_frames=7, times=instants, **codec)
    frames, times, _ = decode(path, on(device))
    np.testing.assert_allclose(times, instants, atol=1e-3)
    assert_close(frames, reference(path))


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
def test_side_by_side(tmp_path: Path, device: str, name: str, codec: dict) -> None:
    shapes = [((160, 208), 33), ((144, 144), 1), ((176, 160), 16), ((160, 208), 5), ((192, 144), 40)]
    paths = [
        write_clip(tmp_path / f"{i}{name}", size=size, num_frames=num_frames, seed=i, **codec)
        for i, (size, num_frames) in enumerate(shapes)
    ]
    options = {"size": FrameSize(height=48, width=64), "fps": None, "chunk_frames": 8, "num_threads": 1}
    sources = [DaliSource(path, scan(path), device=on(device), **options) for path in paths]
    rounds = list(zip_longest(*sources))  # a chunk of each in turn
    frames = [np.concatenate([to_host(each[i].frames) for each in rounds if each[i]]) for i in range(len(sources))]
    for source, path, given in zip(sources, paths, frames, strict=True):
        source.close()
        assert_close(given, reference(path, (48, 64)))


def test_frames_belong_to_the_receiver(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", size=LARGE, num_frames=40, **VP9)
    source = open_dali(path, device="cpu", chunk_frames=4)
    chunks, copies = [], []
    for chunk in source:
        chunks.append(chunk)
        copies.append(chunk.frames.copy())
        assert chunk.frames.flags.owndata or chunk.frames.base is not None
        assert chunk.frames.flags.writeable
    source.close()
    decode(path, "cpu", chunk_frames=4)  # DALI's memory is used again
    for chunk, copy in zip(chunks, copies, strict=True):
        np.testing.assert_array_equal(chunk.frames, copy)


def test_damage_is_an_error_of_that_video(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.webm", size=LARGE, num_frames=20, **VP9)
    data = bytearray(write_clip(tmp_path / "a.webm", size=LARGE, num_frames=60, seed=1, **VP9).read_bytes())
    with av.open(str(tmp_path / "a.webm")) as container:
        packet = [bytes(packet) for packet in container.demux(video=0)][40]
    start = data.index(packet)
    data[start + 1 : start + len(packet)] = b"\xff" * (len(packet) - 1)  # all but what tells that it is shown
    bad = tmp_path / "bad.webm"
    bad.write_bytes(data)
    before, _, _ = decode(good, "cpu")
    with pytest.raises(VideoError, match="DALI") as caught:
        decode(bad, "cpu")
    assert caught.value.stage == "decode"
    assert "\n" not in str(caught.value)
    assert "/" not in str(caught.value)
    after, _, _ = decode(good, "cpu")
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("device", "name", "codec"), DEVICES)
def test_decodes_ahead_while_the_receiver_works(tmp_path: Path, device: str, name: str, codec: dict) -> None:
    path = write_clip(tmp_path / name, size=LARGE, num_frames=12, **codec)
    source = open_dali(path, device=on(device), chunk_frames=4)
    pending = [source._lane is not None and source._lane.pending for _ in source]
    source.close()
    assert pending == [True, True, False]


def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"DALI does not take it: .* not h264") as caught:
        open_dali(write_clip(tmp_path / "a.mp4"), device="cpu")
    assert caught.value.stage == "decode"


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.webm", **VP9).read_bytes()
    path = tmp_path / "b.webm"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="damaged or missing"):
        open_dali(path, device="cpu")


def test_wrong_frames_from_dali_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.webm", size=LARGE, num_frames=20, **VP9)
    collect = Lane.collect
    monkeypatch.setattr(Lane, "collect", lambda lane: (collect(lane)[0], (15, *LARGE)))
    with pytest.raises(VideoError, match="15 frames of 208x160 where 16 frames of 208x160 were due"):
        open_dali(path, device="cpu", chunk_frames=16)


def test_stopping_early_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", size=LARGE, num_frames=40, **VP9)
    whole, _, _ = decode(path, "cpu", chunk_frames=4)
    source = open_dali(path, device="cpu", chunk_frames=4)
    next(iter(source))
    source.close()
    source.close()
    again, _, _ = decode(path, "cpu", chunk_frames=4)
    np.testing.assert_array_equal(again, whole)


def test_lanes_are_used_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", size=LARGE, num_frames=4, **VP9)
    lanes.close()
    first = open_dali(path, device="cpu")
    lane = first._lane
    list(first)
    first.close()
    second = open_dali(path, device="cpu")
    assert second._lane is lane
    second.close()


def test_cuda_frames_are_ready_on_the_current_stream(tmp_path: Path) -> None:
    cupy = need_gpu()
    path = write_clip(tmp_path / "a.mp4", size=LARGE, num_frames=48, **H264)
    expected, _, _ = decode(path, "cuda:0", chunk_frames=4)
    with cupy.cuda.Stream(non_blocking=True):
        source = open_dali(path, device="cuda:0", chunk_frames=4)
        sums = [chunk.frames.astype(cupy.int64).sum(axis=(1, 2, 3)) for chunk in source]
        source.close()
        np.testing.assert_array_equal(cupy.concatenate(sums).get(), expected.astype(np.int64).sum(axis=(1, 2, 3)))


def test_bad_arguments(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", **VP9)
    with pytest.raises(ValueError, match="chunk_frames must be at least 1, got 0"):
        open_dali(path, device="cpu", chunk_frames=0)
    with pytest.raises(ValueError, match="fps must be above 0, got -1"):
        open_dali(path, device="cpu", fps=-1)


def test_without_dali_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    with pytest.raises(MissingExtraError, match=r'pip install "vidprep\[cuda13\]"'):
        open_dali(write_clip(tmp_path / "a.webm", **VP9), device="cpu")


def test_dali_is_imported_at_use() -> None:
    code = "import sys, vidprep.pipeline.decode.dali; print('nvidia.dali' in sys.modules, 'cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "Critical error in pipeline:\nError in CPU operator `nvidia.dali.fn.x`,\nwhich was used in the pipeline "
            'definition with the following traceback:\n\n  File "/a/b.py", line 15, in v\n    def v(): ...\n\n'
            'encountered:\n\nAssert on "ret >= 0" failed: Failed to send packet to decoder: Invalid data found\n'
            "C++ context: [/opt/dali/x.cc:164] \nCurrent pipeline object is no longer valid.",
            "Failed to send packet to decoder: Invalid data found",
        ),
        ("Critical error in pipeline:\nNo data left. Add more.\nCurrent pipeline object", "No data left"),
        ("", "its pipeline failed"),
    ],
)
def test_first_sentence(message: str, sentence: str) -> None:
    assert first_sentence(message) == sentence
