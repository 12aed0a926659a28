"""The clips that other tests rely on are what they claim to be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media import VOP, moving_texture, mutate, write_audio, write_clip, write_packed_avi

NUM_FRAMES, SIZE = 13, (64, 96)


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def rgb(path: Path) -> NDArray[np.uint8]:
    return np.stack([frame.to_ndarray(format="rgb24") for frame in decode(path)])


def mean_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(np.int16) - b).mean())


def pict_types(path: Path) -> str:
    return "".join("?IPB"[int(frame.pict_type)] for frame in decode(path))


def test_texture_moves_by_its_velocity() -> None:
    frames = moving_texture(2, SIZE, velocity=(3, -2))
    np.testing.assert_allclose(frames[1, :-2, 3:].astype(int), frames[0, 2:, :-3].astype(int), atol=1)
    assert mean_difference(frames[1], frames[0]) > 5
    assert frames.std() > 25


def test_texture_depends_on_its_seed_alone() -> None:
    np.testing.assert_array_equal(moving_texture(2, SIZE, seed=1), moving_texture(2, SIZE, seed=1))
    assert mean_difference(moving_texture(2, SIZE, seed=1), moving_texture(2, SIZE, seed=2)) > 10


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt", "decoded_as"),
    [
        ("libx264", ".mp4", "yuv420p", "h264"),
        ("libx264", ".mp4", "yuv444p", "h264"),
        ("libx264", ".mkv", "yuv422p10le", "h264"),
        ("libx265", ".mp4", "yuv420p10le", "hevc"),
        ("libsvtav1", ".mkv", "yuv420p", "libdav1d"),
        ("libvpx", ".webm", "yuv420p", "vp8"),
        ("libvpx-vp9", ".webm", "yuv420p", "vp9"),
        ("mpeg4", ".avi", "yuv420p", "mpeg4"),
        ("mpeg2video", ".ts", "yuv420p", "mpeg2video"),
        ("mjpeg", ".avi", "yuvj420p", "mjpeg"),
        ("ffv1", ".mkv", "yuv420p", "ffv1"),
    ],
)
def test_codecs(tmp_path: Path, codec: str, suffix: str, pix_fmt: str, decoded_as: str) -> None:
    frames = moving_texture(NUM_FRAMES, SIZE)
    path = write_clip(tmp_path / f"clip{suffix}", frames, codec=codec, pix_fmt=pix_fmt)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == decoded_as
        assert stream.codec_context.pix_fmt == pix_fmt
        assert stream.average_rate == 25
    assert mean_difference(rgb(path), frames) < 6


def test_same_bytes_every_time(tmp_path: Path) -> None:
    first, second = (write_clip(tmp_path / f"{name}.mp4", b_frames=2).read_bytes() for name in "ab")
    assert first == second


def test_key_frames_and_b_frames(tmp_path: Path) -> None:
    assert pict_types(write_clip(tmp_path / "plain.mp4", gop=4)) == "IPPP" * 3
    assert pict_types(write_clip(tmp_path / "b.mp4", num_frames=10, gop=50, b_frames=2)) == "IBBPBBPBBP"


@pytest.mark.parametrize(("matrix", "tag"), [("bt601", 6), ("bt709", 1)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colour_matrix_and_range(tmp_path: Path, matrix: str, tag: int, full_range: bool) -> None:
    red = np.zeros((2, 16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    path = write_clip(tmp_path / "red.mp4", red, matrix=matrix, full_range=full_range, options={"crf": "1"})
    frame = decode(path)[0]
    assert (int(frame.colorspace), int(frame.color_range)) == (tag, 2 if full_range else 1)
    luma = {"bt601": 0.299, "bt709": 0.2126}[matrix]
    expected = 255 * luma if full_range else 16 + 219 * luma
    assert np.frombuffer(frame.planes[0], np.uint8)[0] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(("rotation", "counterclockwise"), [(0, {0}), (90, {-90}), (180, {-180, 180}), (270, {90})])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_rotation(tmp_path: Path, suffix: str, rotation: int, counterclockwise: set[int]) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", rotation=rotation)
    assert decode(path)[0].rotation in counterclockwise


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times(tmp_path: Path, suffix: str) -> None:
    times = [0, Fraction(1, 25), 0.1, 0.2, 0.21, 1.5]
    path = write_clip(tmp_path / f"vfr{suffix}", num_frames=6, times=times, b_frames=2)
    assert [frame.time for frame in decode(path)] == pytest.approx([float(time) for time in times], abs=1e-3)


@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_b_frames(tmp_path: Path, b_frames: int) -> None:
    frames = moving_texture(NUM_FRAMES, SIZE)
    path = write_packed_avi(tmp_path / "packed.avi", frames, b_frames=b_frames)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec_tag == "XVID"
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    groups = (NUM_FRAMES - 1) // (1 + b_frames)
    assert [data.count(VOP) for data in packets] == [1, *[2, *[1] * b_frames] * groups]  # I, then P+B (B) N
    assert [len(data) < 10 for data in packets] == [False, *[*[False] * b_frames, True] * groups]  # N is a placeholder
    assert "B" * b_frames in pict_types(path)
    assert mean_difference(rgb(path), frames) < 6
    assert list(tmp_path.iterdir()) == [path]


def test_audio_alone(tmp_path: Path) -> None:
    with av.open(str(write_audio(tmp_path / "tone.m4a"))) as container:
        assert not container.streams.video
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 8_000


def test_mutations_are_repeatable_and_damage(small_clip: Path) -> None:
    data = small_clip.read_bytes()
    damaged = [mutate(data, seed) for seed in range(100)]
    assert damaged == [mutate(data, seed) for seed in range(100)]
    assert len({data, *damaged}) == 101
    assert 10 < sum(len(each) < len(data) for each in damaged) < 60
    assert max(map(len, damaged)) == len(data)


def test_dataset_clips_differ(dataset: Path) -> None:
    clips = sorted(dataset.glob("*/*"))
    assert [path.relative_to(dataset).as_posix() for path in clips] == [
        "Archery/a.mp4",
        "Archery/b.avi",
        "Bowling/a.mp4",
        "Bowling/b.mkv",
    ]
    assert all(len(decode(path)) == 12 for path in clips)
    assert mean_difference(rgb(clips[0]), rgb(clips[2])) > 10
