"""Decoding on the CPU: exactly FFmpeg's frames, in their true colours, upright, at the right times."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from media import moving_texture, write_audio, write_clip, write_packed_avi
from reference_decoder import decode, filtered, to_rgb
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.decode.pyav import open_pyav
from vidprep.pipeline.errors import VideoError

CLOSE = 1.5  # grey levels on average between our conversion and swscale's: they interpolate chroma differently
PATCHES = np.array(
    [
        (200, 30, 40),
        (30, 180, 50),
        (40, 50, 210),
        (220, 210, 40),
        (40, 200, 210),
        (128, 128, 128),
        (235, 235, 235),
        (12, 12, 12),
    ],
    np.uint8,
)
UPRIGHT = np.zeros((1, 48, 64, 3), np.uint8)
UPRIGHT[:, :16, :24] = (255, 0, 0)  # a red corner at the top left, a white bar along the bottom
UPRIGHT[:, 40:] = 255
NO_SLICES = {"level": "1"}  # FFV1 cannot cut a tiny picture into slices


def frames_of(
    path: Path, *, size: tuple[int, int] | None = None, fps: Fraction | int | None = None, chunk_frames: int = 8
) -> NDArray[np.uint8]:
    """All frames of a video, at its own size by default."""
    return chunks_of(path, size=size, fps=fps, chunk_frames=chunk_frames)[0]


def chunks_of(
    path: Path, *, size: tuple[int, int] | None, fps: Fraction | int | None, chunk_frames: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64], list[int]]:
    """All frames, their times, and how many each chunk held."""
    if size is None:
        size = native_size(path)
    source = open_pyav(
        path,
        size=FrameSize(height=size[0], width=size[1]),
        fps=None if fps is None else Fraction(fps),
        chunk_frames=chunk_frames,
    )
    frames, times, starts = [], [], []
    try:
        for chunk in source:  # valid until the next one is asked for
            frames.append(chunk.frames.copy())
            times.append(chunk.times.copy())
            starts.append(chunk.start)
    finally:
        source.close()
    counts = [len(part) for part in frames]
    assert starts == [0, *itertools.accumulate(counts)][:-1]
    return np.concatenate(frames), np.concatenate(times), counts


def native_size(path: Path) -> tuple[int, int]:
    """Displayed ``(height, width)``."""
    source = open_pyav(path, size=FrameSize(short_side=8))
    source.close()
    return source.info.height, source.info.width


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean absolute difference in grey levels; the shapes must agree."""
    assert first.shape == second.shape
    return float(np.abs(first.astype(np.int16) - second).mean())


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


@pytest.mark.parametrize(
    ("matrix", "full_range", "wrong"),
    [("bt601", False, "bt709"), ("bt709", False, "bt601"), ("bt601", True, "bt709"), ("bt709", True, "bt601")],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_colours_come_back(matrix: str, full_range: bool, wrong: str, pix_fmt: str, tmp_path: Path) -> None:
    picture = np.repeat(np.repeat(PATCHES.reshape(1, 2, 4, 3), 32, axis=1), 32, axis=2)
    path = write_clip(
        tmp_path / "patches.mp4", picture, pix_fmt=pix_fmt, matrix=matrix, full_range=full_range, options={"crf": "4"}
    )
    inner = np.s_[:, 16::32, 16::32]
    assert np.abs(frames_of(path)[inner].astype(int) - picture[inner]).max() <= 3
    # The patches tell matrices and ranges apart.
    misread = decode(path, src_colorspace={"bt601": "ITU601", "bt709": "ITU709"}[wrong])
    assert np.abs(misread[inner].astype(int) - picture[inner]).max() > 10


def test_a_stream_that_names_no_matrix_is_bt601(tmp_path: Path) -> None:
    picture = np.full((1, 64, 64, 3), (200, 30, 40), np.uint8)
    frame = frames_of(write_clip(tmp_path / "plain.mp4", picture, options={"crf": "4"}))
    assert np.abs(frame[0, 32, 32].astype(int) - (200, 30, 40)).max() <= 3


def test_limited_grey_that_says_so_is_stretched(tmp_path: Path) -> None:
    picture = np.full((1, 32, 32, 3), 255, np.uint8)
    path = write_clip(tmp_path / "grey.mkv", picture, codec="ffv1", pix_fmt="gray", full_range=False)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray()[0, 0]
    assert frames_of(path)[0, 16, 16, 0] == min(255, round((float(stored) - 16) * 255 / 219))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_makes_the_picture_upright(rotation: int, tmp_path: Path) -> None:
    lying = np.ascontiguousarray(np.rot90(UPRIGHT, rotation // 90, axes=(1, 2)))  # counter-clockwise
    path = write_clip(tmp_path / "phone.mp4", lying, rotation=rotation, options={"crf": "4"})
    assert native_size(path) == (48, 64)
    assert difference(frames_of(path), UPRIGHT) < 4
    assert difference(frames_of(path, size=(24, 32)), UPRIGHT[:, ::2, ::2]) < 8


@pytest.mark.parametrize(
    ("rotation", "filters"),
    [
        (90, [("transpose", "clock")]),
        (180, [("hflip", ""), ("vflip", "")]),
        (270, [("transpose", "cclock")]),
    ],
)
def test_rotation_is_that_of_ffmpeg(rotation: int, filters: list[tuple[str, str]], tmp_path: Path) -> None:
    """The filters are those that ffmpeg puts in by itself, by the angle that it reads from the display matrix."""
    path = write_clip(tmp_path / "phone.mov", rotation=rotation, pix_fmt="yuv444p")
    with av.open(str(path)) as container:
        assert -next(container.decode(video=0)).rotation % 360 == rotation
    assert difference(frames_of(path), filtered(path, *filters)) < CLOSE


def test_rotation_of_a_short_side_keeps_the_displayed_shape(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", rotation=90)  # 64x48 stored, 48x64 shown
    source = open_pyav(path, size=FrameSize(short_side=24))
    assert next(iter(source)).frames.shape[1:3] == (32, 24)
    assert (source.info.width, source.info.height, source.info.rotation) == (48, 64, 90)
    source.close()


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


def _error(path: Path) -> VideoError:
    with pytest.raises(VideoError) as raised:
        frames_of(path, size=(24, 32))
    assert raised.value.reason
    assert "\n" not in raised.value.reason
    assert str(path) not in raised.value.reason
    return raised.value


def test_no_video_at_all(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.touch()
    assert (_error(path).stage, _error(path).reason) == ("open", "the file is empty")
    path.write_text("a text file that was renamed\n" * 100)
    assert _error(path).stage == "open"
    assert "not a readable video" in _error(path).reason
    assert _error(tmp_path / "absent.mp4").stage == "open"
    (tmp_path / "folder.mp4").mkdir()
    assert _error(tmp_path / "folder.mp4").stage == "open"
    sound = _error(write_audio(tmp_path / "sound.mp4"))
    assert (sound.stage, sound.reason) == ("open", "no video stream in it, only audio")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mkv", ".webm"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_truncated(suffix: str, kept: float, tmp_path: Path) -> None:
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
    path = write_clip(tmp_path / f"cut{suffix}", num_frames=30, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert _error(path).stage == "open"


def test_truncated_with_its_index_in_front(small_clip: Path, tmp_path: Path) -> None:
    """FFmpeg alone takes this cut for the end of the video."""
    path = tmp_path / "web.mp4"
    with av.open(str(small_clip)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    whole = path.read_bytes()
    assert len(frames_of(path)) == 30
    path.write_bytes(whole[: len(whole) * 7 // 10])
    error = _error(path)
    assert error.stage == "open"
    assert "cut short" in error.reason


def test_a_corrupt_packet_is_an_error_not_a_shorter_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "damaged.mkv", num_frames=30, codec="ffv1", pix_fmt="yuv420p")
    data = bytearray(path.read_bytes())
    random.seed(1)
    middle = len(data) // 2
    data[middle : middle + 40] = random.randbytes(40)
    path.write_bytes(data)
    error = _error(path)
    assert error.stage == "decode"
    assert "damaged after" in error.reason


def test_a_title_that_is_not_utf8_does_no_harm(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.avi", codec="mpeg4")
    titled = tmp_path / "titled.avi"
    with av.open(str(path)) as source, av.open(str(titled), "w") as copy:
        copy.metadata["title"] = "Fussball XX"
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    data = titled.read_bytes()
    assert b"Fussball XX" in data
    titled.write_bytes(data.replace(b"Fussball XX", b"Fu\xdfball XX "))
    np.testing.assert_array_equal(frames_of(titled), frames_of(path))


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


def test_a_real_rotated_clip_is_upright(shared_videos: Path) -> None:
    path = shared_videos / "rotated_90.mov"
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        assert first.rotation == -90  # a quarter turn clockwise to be upright
        lying = to_rgb(first)
    frames = frames_of(path)
    assert frames.shape == (3, 568, 320, 3)
    assert difference(frames, filtered(path, ("transpose", "clock"))) < CLOSE
    assert difference(frames[0], np.rot90(lying, -1)) < CLOSE


def test_a_real_damaged_clip_fails_with_a_sentence(shared_videos: Path) -> None:
    error = _error(shared_videos / "corrupted.mp4")
    assert error.stage in ("open", "decode")
