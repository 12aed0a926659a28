"""Decoding on the CPU: exactly FFmpeg's frames, at the right times."""

from __future__ import annotations

import itertools
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media import moving_texture, write_clip, write_packed_avi
from pyav_frames import CLOSE, chunks_of, difference, frames_of, native_size
from reference_decoder import decode, filtered
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.decode.pyav import open_pyav

NO_SLICES = {"level": "1"}  # FFV1 cannot cut a tiny picture into slices


CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "H.264 with B-frames": (".mp4", {"b_frames": 3}),
    "H.264 in MPEG-TS": (".ts", {"b_frames": 2}),
    "HEVC with B-frames": (".mp4", {"codec": "libx265", "b_frames": 2}),
    "MPEG-4 AVI": (".avi", {"codec": "mpeg4"}),
    "MPEG-4 AVI with B-frames": (".avi", {"codec": "mpeg4", "b_frames": 2}),
    "MPEG-2 with B-frames": (".mpg", {"codec": "mpeg2video", "b_frames": 2}),
    "VFR": (".mp4", {"times": [0, 0.04, 0.05, 0.21, 0.25, 0.5, 0.52, 0.6, 1.4, 1.45, 1.5, 2], "b_frames": 2}),
    "MJPEG, full range": (".avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}),
    "VP9": (".webm", {"codec": "libvpx-vp9"}),
    "AV1": (".mkv", {"codec": "libsvtav1"}),
    "10 bit": (".mp4", {"pix_fmt": "yuv420p10le", "b_frames": 2}),
    "HEVC 10 bit": (".mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    "4:2:2": (".mp4", {"pix_fmt": "yuv422p"}),
    "4:2:2 10 bit": (".mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "4:4:4": (".mp4", {"pix_fmt": "yuv444p"}),
    "4:4:0": (".mkv", {"codec": "ffv1", "pix_fmt": "yuv440p"}),
    "BT.709": (".mp4", {"matrix": "bt709"}),
    "BT.709, full range": (".mp4", {"matrix": "bt709", "full_range": True}),
    "grey": (".mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "grey 16 bit": (".mkv", {"codec": "ffv1", "pix_fmt": "gray16le"}),
    "planar RGB": (".mp4", {"codec": "libx264rgb", "pix_fmt": "rgb24"}),
    "planar RGB 10 bit": (".mkv", {"codec": "ffv1", "pix_fmt": "gbrp10le"}),
    "packed RGB": (".avi", {"codec": "huffyuv", "pix_fmt": "rgb24"}),
    "NV12": (".nut", {"codec": "rawvideo", "pix_fmt": "nv12"}),
    "YUYV": (".avi", {"codec": "rawvideo", "pix_fmt": "yuyv422"}),
    "RGB with a palette": (".gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    "black and white": (".nut", {"codec": "rawvideo", "pix_fmt": "monob"}),
    "big-endian": (".nut", {"codec": "rawvideo", "pix_fmt": "yuv420p16be"}),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_frames_are_those_of_a_full_ffmpeg_decode(kind: str, tmp_path: Path) -> None:
    suffix, options = CLIPS[kind]
    path = write_clip(tmp_path / f"clip{suffix}", seed=3, **options)
    expected, frames = decode(path), frames_of(path)
    assert len(frames) == len(expected) == 12
    for frame, reference in zip(frames, expected, strict=True):
        assert difference(frame, reference) < CLOSE
    if kind != "black and white":  # else the check above could not tell a frame from its neighbour
        assert min(difference(*pair) for pair in itertools.pairwise(expected)) > 2 * CLOSE


def test_packed_b_frames_are_taken_apart(tmp_path: Path) -> None:
    frames = moving_texture(13, (48, 64))
    path = write_packed_avi(tmp_path / "packed.avi", frames, b_frames=2)
    decoded = frames_of(path)
    assert difference(decoded, decode(path)) < CLOSE
    assert [int(np.argmin([difference(shown, frame) for frame in frames])) for shown in decoded] == list(range(13))


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(25), Fraction(60), Fraction(24000, 1001), Fraction(1, 2)])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_fps_picks_the_frames_of_ffmpegs_filter(fps: Fraction, b_frames: int, small_clip: Path, tmp_path: Path) -> None:
    path = small_clip if b_frames else write_clip(tmp_path / "clip.mkv", num_frames=30)
    every, theirs = decode(path), filtered(path, ("fps", str(fps)))
    ours = frames_of(path, fps=fps)
    originals = frames_of(path)
    assert _identify(ours, originals) == _identify(theirs, every)


def test_fps_of_a_variable_rate_goes_by_timestamps(tmp_path: Path) -> None:
    times = [0, 0.1, 0.15, 0.2, 0.7, 0.8, 1.5, 1.52, 1.54, 2.0]
    path = write_clip(tmp_path / "vfr.mp4", num_frames=10, times=times, b_frames=2)
    frames, seconds, _ = chunks_of(path, size=None, fps=10, chunk_frames=4)
    ours, theirs = _identify(frames, frames_of(path)), _identify(filtered(path, ("fps", "10")), decode(path))
    assert ours == theirs[: len(ours)]
    assert set(theirs[len(ours) :]) <= {9}  # the last frame stays for as long as its packet says, or one average period
    np.testing.assert_allclose(np.diff(seconds), 0.1)


def test_times_are_the_containers(tmp_path: Path) -> None:
    times = [0, 0.1, 0.15, 0.2, 0.7, 0.8]
    _, seconds, _ = chunks_of(
        write_clip(tmp_path / "vfr.mkv", num_frames=6, times=times), size=None, fps=None, chunk_frames=4
    )
    np.testing.assert_allclose(seconds, times, atol=1e-3)  # Matroska counts milliseconds


def _identify(shown: NDArray[np.uint8], originals: NDArray[np.uint8]) -> list[int]:
    """Which original each frame is, exactly."""
    names = {frame.tobytes(): index for index, frame in enumerate(originals)}
    assert len(names) == len(originals)
    return [names[frame.tobytes()] for frame in shown]


@pytest.mark.parametrize("chunk_frames", [1, 3, 8, 64])
@pytest.mark.parametrize("fps", [None, 10, 40])
def test_chunks_change_nothing(chunk_frames: int, fps: int | None, small_clip: Path) -> None:
    whole, times, _ = chunks_of(small_clip, size=(17, 23), fps=fps, chunk_frames=1000)
    frames, their_times, counts = chunks_of(small_clip, size=(17, 23), fps=fps, chunk_frames=chunk_frames)
    np.testing.assert_array_equal(frames, whole)
    np.testing.assert_array_equal(their_times, times)
    assert set(counts[:-1]) <= {chunk_frames}
    assert 1 <= counts[-1] <= chunk_frames


@pytest.mark.parametrize(("chunk_frames", "lead"), [(1, 1), (8, 1), (4, 4), (3, 7), (8, 40)])
@pytest.mark.parametrize("fps", [None, 10, 40])
def test_a_chunk_begins_with_frames_of_the_one_before(
    chunk_frames: int, lead: int, fps: int | None, small_clip: Path
) -> None:
    whole, times, _ = chunks_of(small_clip, size=(17, 23), fps=fps, chunk_frames=1000)
    source = open_pyav(
        small_clip,
        size=FrameSize(height=17, width=23),
        fps=None if fps is None else Fraction(fps),
        chunk_frames=chunk_frames,
        lead=lead,
    )
    end = 0
    with closing(source):
        for chunk in source:
            assert chunk.start == end
            assert chunk.lead == (lead if end else 0)
            end += len(chunk.times)
            assert len(chunk.times) == chunk_frames + lead - chunk.lead or end == len(whole)
            np.testing.assert_array_equal(chunk.frames, whole[chunk.start - chunk.lead : end])
            np.testing.assert_array_equal(chunk.times, times[chunk.start : end])
    assert end == len(whole)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (5, 3), (1, 64), (49, 65), (7, 2)])
@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        (".mkv", "ffv1", "yuv420p"),
        (".mkv", "ffv1", "yuv422p"),
        (".mkv", "ffv1", "yuv420p10le"),
        (".avi", "mjpeg", "yuvj420p"),
        (".nut", "rawvideo", "yuv420p"),
        (".mp4", "libx264", "yuv444p"),
    ],
)
def test_odd_sizes(size: tuple[int, int], suffix: str, codec: str, pix_fmt: str, tmp_path: Path) -> None:
    full_range = True if codec == "mjpeg" else None
    path = write_clip(
        tmp_path / f"odd{suffix}",
        size=size,
        num_frames=3,
        codec=codec,
        pix_fmt=pix_fmt,
        full_range=full_range,
        options=NO_SLICES if codec == "ffv1" else None,
    )
    assert native_size(path) == size
    frames = frames_of(path)
    # swscale's chroma of a picture one or two samples wide is its own affair
    assert difference(frames, decode(path)) < (CLOSE if min(size) > 5 else 16)
    assert frames_of(path, size=(128, 170)).shape == (3, 128, 170, 3)
    grown = frames_of(path, size=(size[0] * 4, size[1] * 4))
    assert abs(float(grown.mean()) - float(frames.mean())) < 8


def test_flat_pictures_of_odd_size_stay_flat(tmp_path: Path) -> None:
    """Nothing is read beyond the last chroma sample, whatever FFmpeg pads the planes with."""
    for size in [(1, 1), (3, 5), (49, 65)]:
        picture = np.full((2, *size, 3), (180, 90, 60), np.uint8)
        path = write_clip(tmp_path / "flat.mkv", picture, codec="ffv1", pix_fmt="yuv420p", options=NO_SLICES)
        assert np.abs(frames_of(path, size=(31, 33)).astype(int) - (180, 90, 60)).max() <= 2


def test_a_stream_that_changes_its_size_on_the_way(tmp_path: Path) -> None:
    large = write_clip(tmp_path / "large.h264", num_frames=6, seed=1)
    small = write_clip(tmp_path / "small.h264", num_frames=5, size=(32, 48), seed=2)
    both = tmp_path / "both.h264"
    both.write_bytes(large.read_bytes() + small.read_bytes())
    expected = [frames_of(path, size=(24, 32)) for path in (large, small)]
    np.testing.assert_array_equal(frames_of(both, size=(24, 32)), np.concatenate(expected))


def test_the_largest_video_stream_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for height, width in [(32, 32), (48, 64)]:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for stream in streams:
            picture = np.full((stream.height, stream.width, 3), 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")))
            container.mux(stream.encode(None))
    assert native_size(path) == (48, 64)


def test_real_clips(shared_videos: Path) -> None:
    counts = {
        "arm_wrestling.mp4": 280, "av1.mkv": 125, "bikes_640x272.mp4": 250, "bt709_full_range.mp4": 30,
        "bunny_1280x720.mp4": 132, "cfr_60fps.mov": 180, "h264_10bit.mp4": 30, "hevc.mp4": 10,
        "kinetics_like.mp4": 355, "mpeg4_320x240.avi": 164, "rotated_90.mov": 3, "short_32_frames.mp4": 32,
        "unordered.mov": 4,
    }  # fmt: skip
    for name, count in counts.items():
        assert len(frames_of(shared_videos / name, size=(24, 32))) == count, name


@pytest.mark.parametrize("name", ["bt709_full_range.mp4", "h264_10bit.mp4", "hevc.mp4", "unordered.mov"])
def test_real_clips_frame_by_frame(name: str, shared_videos: Path) -> None:
    for frame, reference in zip(frames_of(shared_videos / name), decode(shared_videos / name), strict=True):
        assert difference(frame, reference) < CLOSE
