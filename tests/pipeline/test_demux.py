"""What a scan of the packets finds, on clips of every oddity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from media import mutate, write_audio, write_clip, write_packed_avi
from vidprep.pipeline.decode.demux import scan
from vidprep.pipeline.errors import VideoError

SHOWN_ONLY = {"auto-alt-ref": "0", "lag-in-frames": "0"}
WITH_HIDDEN = {"auto-alt-ref": "1", "lag-in-frames": "25"}


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("a.mp4", {"codec": "libx264", "b_frames": 2}),
        ("a.mkv", {"codec": "libx264", "b_frames": 3, "num_frames": 31}),
        ("a.mp4", {"codec": "libx265", "b_frames": 2}),
        ("a.avi", {"codec": "mpeg4", "b_frames": 2}),
        ("a.webm", {"codec": "libvpx", "options": SHOWN_ONLY}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("a.ts", {"codec": "mpeg2video", "b_frames": 2}),
        ("a.mp4", {"codec": "libx264", "num_frames": 1}),
    ],
)
def test_counts_and_times_are_those_of_a_full_decode(tmp_path: Path, name: str, clip: dict) -> None:
    path = write_clip(tmp_path / name, **clip)
    frames = decoded(path)
    found = scan(path)
    assert found.num_frames == len(frames)
    np.testing.assert_allclose(found.times, [frame.time for frame in frames], atol=1e-6)
    assert sorted(found.ranks.tolist()) == list(range(len(frames)))
    assert [frames[i].key_frame for i in found.keyframes] == [True] * len(found.keyframes)
    assert 0 in found.keyframes
    assert (found.info.height, found.info.width) == found.stored == (48, 64)
    assert not any((found.trimmed, found.packed_b_frames, found.incomplete, found.variable_rate))


def test_reordering(tmp_path: Path) -> None:
    found = scan(write_clip(tmp_path / "a.mp4", b_frames=2, num_frames=7, gop=7))
    assert found.ranks.tolist()[:4] == [0, 3, 1, 2]
    assert found.reorder_depth == 1
    assert scan(write_clip(tmp_path / "b.mp4")).reorder_depth == 0


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_turns_the_size(tmp_path: Path, rotation: int) -> None:
    found = scan(write_clip(tmp_path / "a.mp4", rotation=rotation))
    assert found.info.rotation == rotation
    assert found.stored == (48, 64)
    assert (found.info.height, found.info.width) == ((64, 48) if rotation in (90, 270) else (48, 64))


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours(tmp_path: Path, matrix: str, full_range: bool) -> None:
    fmt = scan(write_clip(tmp_path / "a.mp4", matrix=matrix, full_range=full_range)).format
    assert fmt is not None
    assert (fmt.matrix, fmt.full_range, fmt.depth, fmt.chroma_shift) == (matrix, full_range, 8, (1, 1))


def test_ten_bits(tmp_path: Path) -> None:
    found = scan(write_clip(tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le"))
    assert found.format is not None
    assert found.format.depth == 10


def test_cropping(tmp_path: Path) -> None:
    found = scan(write_clip(tmp_path / "a.mp4", size=(50, 50)))
    assert (found.stored, found.coded) == ((50, 50), (64, 64))


def test_variable_rate(tmp_path: Path) -> None:
    times = [0, 0.04, 0.2, 0.24, 0.5, 0.54]
    found = scan(write_clip(tmp_path / "a.mp4", num_frames=6, times=times))
    assert found.variable_rate
    np.testing.assert_allclose(found.times, times, atol=1e-4)


def test_packed_b_frames(tmp_path: Path) -> None:
    path = write_packed_avi(tmp_path / "a.avi")
    found = scan(path)
    assert found.packed_b_frames
    assert found.num_frames == len(decoded(path))


def rewritten(path: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """A copy whose packets are ``change(index, packet)``."""
    copy = path.with_name(f"rewritten{path.suffix}")
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(p for p in source.demux(video=0) if p.size):
            changed = av.Packet(change(index, bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.stream, changed.is_keyframe = stream, packet.is_keyframe
            target.mux(changed)
    return copy


def test_vp8_frames_that_are_not_shown(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", codec="libvpx", options=SHOWN_ONLY)
    assert not scan(path).hidden_frames
    hidden = rewritten(path, lambda i, data: bytes([data[0] & ~0x10]) + data[1:] if i in (3, 5) else data)
    found = scan(hidden)
    assert found.hidden_frames
    assert found.num_frames == len(decoded(hidden)) == 10


def test_vp9_superframes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.webm", codec="libvpx-vp9", num_frames=60, gop=60, options=WITH_HIDDEN)
    found = scan(path)
    assert found.hidden_frames
    assert found.num_frames == len(decoded(path)) == 60
    assert not scan(write_clip(tmp_path / "b.webm", codec="libvpx-vp9", options=SHOWN_ONLY)).hidden_frames


def test_edit_list(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=20, gop=20)
    trimmed = tmp_path / "b.mp4"
    with av.open(str(path)) as source, av.open(str(trimmed), "w") as copy:  # starts 8 frames before time 0
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts - 8 * 512, packet.dts - 8 * 512
                packet.stream = stream
                copy.mux(packet)
    found = scan(trimmed)
    assert found.trimmed
    assert found.num_frames == len(decoded(trimmed)) == 12


def test_interlaced(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", options={"x264-params": "interlaced=1"})
    assert scan(path).interlaced
    assert not scan(write_clip(tmp_path / "b.mp4")).interlaced


def test_where_the_parameters_are(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    assert scan(path).parameters_in_header
    assert not scan(write_clip(tmp_path / "a.ts")).parameters_in_header


def test_cut_off(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.webm", codec="libvpx-vp9").read_bytes()
    path = tmp_path / "b.webm"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert scan(path).incomplete


def bad_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.mp4" for name in ("missing", "empty", "text", "headless")}
    files["empty"].touch()
    files["text"].write_text("This is no video.\n" * 50)
    files["headless"].write_bytes(write_clip(folder / "a.mp4").read_bytes()[:200])
    files["folder"] = folder
    files["sound"] = write_audio(folder / "sound.m4a")
    return files


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "not a readable video"),
        ("headless", "not a readable video"),
        ("folder", "not a readable video"),
        ("sound", "no video stream in it, only audio"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(VideoError, match=words) as caught:
        scan(bad_files(tmp_path)[name])
    assert caught.value.stage == "open"
    assert "\n" not in str(caught.value)


def test_any_damage_is_a_scan_or_a_video_error(tmp_path: Path) -> None:
    clips = [
        write_clip(tmp_path / "a.mp4", b_frames=2),
        write_clip(tmp_path / "a.webm", codec="libvpx-vp9"),
        write_packed_avi(tmp_path / "a.avi"),
    ]
    path = tmp_path / "damaged"
    for seed in range(90):
        path.write_bytes(mutate(clips[seed % 3].read_bytes(), seed))
        try:
            found = scan(path)
        except VideoError:
            continue
        assert np.all(np.diff(found.times) > 0)
        assert sorted(found.ranks.tolist()) == list(range(found.num_frames))
