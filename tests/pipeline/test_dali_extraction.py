"""Shards that DALI decodes, on its CPU backend: with many videos at once as with one, and with PyAV for the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from executors import need_gpu
from extraction import build_cache, cache_bytes, make_task, small_config
from media import write_clip
from vidprep.pipeline.cache import Cache, CacheHeader, build_index
from vidprep.pipeline.decode.dali import DaliSource
from vidprep.pipeline.decode.frames import FrameChunk
from vidprep.pipeline.errors import OutputError, VideoError
from vidprep.pipeline.events import Advanced, Event, VideoFinished, VideoStarted
from vidprep.pipeline.shard import StoppedAtFailure, build_shard

pytest.importorskip("nvidia.dali", reason="DALI is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:nvidia.*")

VP9: dict[str, Any] = {"codec": "libvpx-vp9", "options": {"auto-alt-ref": "0", "lag-in-frames": "0"}}
MJPEG: dict[str, Any] = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
REFUSED = "DALI decodes vp8, vp9, mjpeg on the CPU exactly, not h264"
BROKEN = ("text.mp4", "short.webm", "cut.mkv", "damaged.webm")
CONFIG = small_config(modalities=("residual", "rgb"), step=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of all kinds and lengths, some broken: for DALI, for everybody, too short."""
    folder = tmp_path_factory.mktemp("clips")
    text = folder / "text.mp4"
    text.write_text("no video")
    cut = folder / "cut.mkv"
    cut.write_bytes(write_clip(folder / "whole.mkv", num_frames=30, **MJPEG).read_bytes()[:-3000])
    return [
        write_clip(folder / "long.webm", num_frames=90, seed=1, **VP9),
        write_clip(folder / "a.mp4", num_frames=20, seed=2),
        text,
        write_clip(folder / "b.mkv", num_frames=40, seed=3, **MJPEG),
        write_clip(folder / "short.webm", num_frames=2, seed=4, **VP9),
        write_clip(folder / "c.webm", num_frames=9, seed=5, rotation=0, **VP9),
        cut,
        damage(write_clip(folder / "damaged.webm", num_frames=60, seed=8, **VP9), packet=40),
        write_clip(folder / "d.mp4", num_frames=12, rotation=90, seed=6),
        write_clip(folder / "e.webm", num_frames=33, size=(40, 72), seed=7, **VP9),
    ]


def damage(path: Path, packet: int) -> Path:
    """Fill a packet with ones, but for what tells that it is shown."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    data = bytearray(path.read_bytes())
    start = data.index(packets[packet])
    data[start + 1 : start + len(packets[packet])] = b"\xff" * (len(packets[packet]) - 1)
    path.write_bytes(data)
    return path


def extract(
    paths: list[Path], folder: Path, *, events: list[Event] | None = None, device: str = "cpu", **options: Any
) -> Cache:
    """Extract videos with DALI into a cache of one shard, in this process."""
    CacheHeader(config=CONFIG.to_json(), tools={}, modalities=CONFIG.modalities, classes=(), source="/").write(folder)
    task = make_task(paths, folder, **{"config": CONFIG, "decoder": "dali", **options})
    build_shard(task, device, (events if events is not None else []).append)
    build_index(folder)
    return Cache(folder)


@pytest.fixture
def breaks_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    """DALI fails in ``b.mkv`` after some frames, and is out of memory in ``e.webm``."""
    iterate = DaliSource.__iter__

    def failing(source: DaliSource) -> Iterator[FrameChunk]:
        for i, chunk in enumerate(iterate(source)):
            if i == 2 and source.info.codec == "mjpeg":
                raise VideoError("decode", "DALI: it lost its way")
            if i == 3 and source.info.width == 72:
                raise MemoryError
            yield chunk

    monkeypatch.setattr(DaliSource, "__iter__", failing)


def test_the_number_in_flight_changes_nothing(clips: list[Path], tmp_path: Path) -> None:
    caches = [
        extract(clips, tmp_path / f"{limit}-{threads}", in_flight=limit, threads=threads)
        for limit, threads in ((1, 0), (4, 0), (4, 2), (20, 1))
    ]
    expected = cache_bytes(caches[0].path)
    for cache in caches[1:]:
        assert cache_bytes(cache.path) == expected


def test_who_decoded_what_is_in_the_index(clips: list[Path], tmp_path: Path) -> None:
    cache = extract(clips, tmp_path / "cache")
    assert {id_: (info.decoder, info.decoder_note) for id_, info in cache.videos.items()} == {
        "long.webm": ("dali", ""),
        "a.mp4": ("pyav", REFUSED),
        "b.mkv": ("dali", ""),
        "c.webm": ("dali", ""),
        "d.mp4": ("pyav", REFUSED),
        "e.webm": ("dali", ""),
    }
    assert {failure.video: failure.stage for failure in cache.failures} == {
        "text.mp4": "open",
        "short.webm": "compute",
        "cut.mkv": "open",
        "damaged.webm": "decode",
    }


def test_the_frames_are_those_that_pyav_gives(clips: list[Path], tmp_path: Path) -> None:
    with_dali = extract(clips, tmp_path / "dali")
    with_pyav = build_cache(clips, tmp_path / "pyav", config=CONFIG)
    assert with_dali.videos.keys() == with_pyav.videos.keys()
    assert with_dali.failures == with_pyav.failures  # PyAV has the last word
    for id_, info in with_dali.videos.items():
        theirs = with_pyav.videos[id_]
        assert (info.num_frames, info.fps, info.source_codec, info.source_rotation) == (
            theirs.num_frames,
            theirs.fps,
            theirs.source_codec,
            theirs.source_rotation,
        )
        for modality in CONFIG.modalities:
            a, b = (cache.read(id_, modality).astype(np.int16) for cache in (with_dali, with_pyav))
            assert a.shape == b.shape
            assert np.abs(a - b).mean() < (0.01 if info.decoder == "pyav" else 2.5), (id_, modality)


@pytest.mark.usefixtures("breaks_halfway")
@pytest.mark.parametrize("limit", [1, 4])
def test_what_breaks_in_dali_is_done_again_with_pyav(clips: list[Path], tmp_path: Path, limit: int) -> None:
    events: list[Event] = []
    cache = extract(clips, tmp_path / "cache", in_flight=limit, events=events)
    notes = {id_: (cache.videos[id_].decoder, cache.videos[id_].decoder_note) for id_ in ("b.mkv", "e.webm")}
    assert notes == {
        "b.mkv": ("pyav", "DALI: it lost its way"),
        "e.webm": ("pyav", "DALI: not enough memory for this video"),
    }
    with_pyav = build_cache(clips, tmp_path / "pyav", config=CONFIG)
    for id_ in notes:
        np.testing.assert_array_equal(cache.read(id_, "rgb"), with_pyav.read(id_, "rgb"))
        np.testing.assert_array_equal(cache.read(id_, "residual"), with_pyav.read(id_, "residual"))
    assert cache.failures == with_pyav.failures


@pytest.mark.usefixtures("breaks_halfway")
def test_what_was_decoded_in_vain_does_not_count(clips: list[Path], tmp_path: Path) -> None:
    events: list[Event] = []
    cache = extract([path for path in clips if path.name not in BROKEN], tmp_path / "cache", events=events)
    videos = cache.videos.values()
    stored = sum(modality.stored_bytes for info in videos for modality in info.modalities.values())
    advanced = [event for event in events if isinstance(event, Advanced)]
    assert sum(event.frames for event in advanced) == sum(info.num_frames for info in videos)
    assert sum(event.num_bytes for event in advanced) == stored


@pytest.mark.usefixtures("breaks_halfway")
def test_a_fallback_halfway_leaves_no_trace_in_the_shard(clips: list[Path], tmp_path: Path) -> None:
    one, four = (extract(clips, tmp_path / f"{limit}", in_flight=limit) for limit in (1, 4))
    assert cache_bytes(one.path) == cache_bytes(four.path)


def test_several_videos_are_open_and_end_in_order(clips: list[Path], tmp_path: Path) -> None:
    events: list[Event] = []
    extract(clips, tmp_path / "cache", in_flight=4, events=events)
    names = [path.name for path in clips]
    assert [event.video for event in events if isinstance(event, VideoStarted)] == names
    assert [event.video for event in events if isinstance(event, VideoFinished)] == names
    most = num_open = 0
    for event in events:
        num_open += isinstance(event, VideoStarted) - isinstance(event, VideoFinished)
        most = max(most, num_open)
    assert most == 4


def test_a_video_that_was_given_up_is_not_opened(clips: list[Path], tmp_path: Path) -> None:
    events: list[Event] = []
    cache = extract(clips, tmp_path / "cache", given_up=(("b.mkv", "worker", "it crashed"),), events=events)
    assert "b.mkv" not in cache.videos
    assert {failure.video for failure in cache.failures} == {*BROKEN, "b.mkv"}
    assert VideoStarted(video="b.mkv") not in events
    assert [event.video for event in events if isinstance(event, VideoFinished)] == [path.name for path in clips]


def test_stopping_at_the_first_failure_stops_all(clips: list[Path], tmp_path: Path) -> None:
    with pytest.raises(StoppedAtFailure, match=r"^text.mp4 failed \(open\)"):
        extract(clips, tmp_path / "cache", stop_on_failure=True)
    assert list((tmp_path / "cache" / "shards").iterdir()) == []


def test_trouble_with_the_cache_is_not_laid_to_dali(clips: list[Path], tmp_path: Path) -> None:
    def full(event: Event) -> None:
        if isinstance(event, VideoFinished) and event.video == "a.mp4":
            raise OutputError("the disk is full")

    task = make_task(clips, tmp_path / "cache", config=CONFIG, decoder="dali")
    with pytest.raises(OutputError, match="the disk is full"):
        build_shard(task, "cpu", full)
    assert list((tmp_path / "cache" / "shards").iterdir()) == []


def test_with_pyav_it_is_one_video_at_a_time(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)  # not even asked for
    events: list[Event] = []
    cache = extract(clips, tmp_path / "cache", decoder="auto", in_flight=8, events=events)
    assert {(info.decoder, info.decoder_note) for info in cache.videos.values()} == {("pyav", "")}
    kinds = [type(event) for event in events if not isinstance(event, Advanced)]
    assert kinds == [VideoStarted, VideoFinished] * len(clips)


def test_on_a_gpu(tmp_path: Path) -> None:
    need_gpu()
    paths = [
        write_clip(tmp_path / f"{i}.mp4", size=(160, 208), num_frames=10 + 7 * i, b_frames=2, seed=i) for i in range(6)
    ]
    paths.append(write_clip(tmp_path / "deep.mp4", size=(160, 208), pix_fmt="yuv420p10le"))
    caches = [
        extract(paths, tmp_path / f"{decoder}{limit}", device="cuda:0", decoder=decoder, in_flight=limit)
        for decoder, limit in (("auto", 1), ("auto", 4), ("pyav", 4))
    ]
    assert cache_bytes(caches[0].path) == cache_bytes(caches[1].path)
    assert [info.decoder for info in caches[0].videos.values()] == ["dali"] * 6 + ["pyav"]
    assert caches[0].videos["deep.mp4"].decoder_note == "DALI cuts 10 bits to 8"
    assert {(info.decoder, info.decoder_note) for info in caches[2].videos.values()} == {("pyav", "")}
    on_the_cpu = build_cache(paths, tmp_path / "cpu", config=CONFIG)
    for id_ in on_the_cpu.videos:
        frames = on_the_cpu.read(id_, "rgb").astype(np.int16)
        np.testing.assert_array_equal(caches[2].read(id_, "rgb"), frames)
        assert np.abs(caches[0].read(id_, "rgb") - frames).mean() < 2.5
