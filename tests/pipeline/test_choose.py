"""Who decodes: what was asked for, what is installed, what DALI takes, and where the frames end up."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidprep
from cuda_host.cupy_standin import cupy_on_the_cpu
from media import write_clip
from vidprep.pipeline.decode import FrameSize, FrameSource, choose, open_frames
from vidprep.pipeline.decode.choose import choose_decoder, dali_note
from vidprep.pipeline.decode.dali import DaliSource
from vidprep.pipeline.errors import MissingExtraError, VideoError

VP9: dict[str, Any] = {"codec": "libvpx-vp9", "options": {"auto-alt-ref": "0", "lag-in-frames": "0"}}
SIZE = FrameSize(height=24, width=32)


def open_(path: Path, decoder: str, device: str = "cpu", **options: Any) -> tuple[FrameSource, str]:
    settings = {"size": SIZE, "fps": None, "chunk_frames": 5, **options}
    return open_frames(path, device=device, decoder=decoder, **settings)


def frames_of(source: FrameSource) -> np.ndarray:
    frames = np.concatenate([np.array(chunk.frames) for chunk in source])
    source.close()
    return frames


@pytest.fixture
def without_dali(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)


def need_dali() -> None:
    pytest.importorskip("nvidia.dali", reason="DALI is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:nvidia.*")
class TestWithDali:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        need_dali()

    def test_what_it_takes(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.webm", num_frames=12, **VP9)
        source, note = open_(path, "dali")
        assert (source.decoder, note) == ("dali", "")
        frames = frames_of(source)
        expected = frames_of(open_(path, "pyav")[0])
        assert frames.shape == expected.shape
        assert np.abs(frames.astype(int) - expected).mean() < 2

    def test_fps_and_chunks_reach_it(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.webm", num_frames=25, **VP9)
        source, _ = open_(path, "dali", fps=Fraction(10), chunk_frames=4)
        assert [len(chunk.frames) for chunk in source] == [4, 4, 2]
        source.close()

    def test_what_it_refuses_goes_to_pyav_with_the_reason(self, small_clip: Path) -> None:
        source, note = open_(small_clip, "dali")
        assert (source.decoder, note) == ("pyav", "DALI decodes vp8, vp9, mjpeg on the CPU exactly, not h264")
        assert len(frames_of(source)) == 30

    def test_what_it_fails_to_start_goes_to_pyav(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(source: DaliSource) -> None:
            raise VideoError("decode", "no decoder is free")

        monkeypatch.setattr(DaliSource, "_feed_next", fail)
        source, note = open_(write_clip(tmp_path / "a.webm", **VP9), "dali")
        assert (source.decoder, note) == ("pyav", "DALI: no decoder is free")
        source.close()

    def test_a_file_that_is_no_video_is_pyavs_error(self, tmp_path: Path) -> None:
        text = tmp_path / "a.mp4"
        text.write_text("no video")
        errors = []
        for decoder in ("dali", "pyav"):
            with pytest.raises(VideoError) as caught:
                open_(text, decoder)
            errors.append((caught.value.stage, caught.value.reason))
        assert errors[0] == errors[1]

    def test_packets_are_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from vidprep.pipeline.decode import demux

        scans = []
        scan = demux.scan
        monkeypatch.setattr(demux, "scan", lambda path: scans.append(path) or scan(path))
        path = write_clip(tmp_path / "a.webm", **VP9)
        source, _ = open_(path, "dali")
        frames_of(source)
        assert scans == [path]


def test_auto_is_pyav_on_the_cpu(small_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "start_dali", None)
    source, note = open_(small_clip, "auto")
    assert (source.decoder, note) == ("pyav", "")
    source.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:nvidia.*")
def test_auto_is_dali_on_a_gpu() -> None:
    need_dali()
    with cupy_on_the_cpu():
        assert choose_decoder("auto", "cuda:0") == ("dali", "")


@pytest.mark.usefixtures("without_dali")
def test_without_dali_auto_is_pyav_with_a_note() -> None:
    assert choose_decoder("auto", "cuda:0") == ("pyav", "DALI is not installed")
    assert choose_decoder("auto", "cpu") == ("pyav", "")
    assert choose_decoder("pyav", "cuda:0") == ("pyav", "")


@pytest.mark.usefixtures("without_dali")
def test_without_dali_its_extra_is_named(small_clip: Path) -> None:
    with pytest.raises(MissingExtraError, match=r'^DALI is not installed: pip install "vidprep\[cuda13\]"'):
        open_(small_clip, "dali")


@pytest.mark.usefixtures("without_dali")
def test_a_run_without_dali_stops_before_it_begins(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"^DALI is not installed"):
        vidprep.extract(dataset, tmp_path / "cache", decoder="dali", device="cpu", workers=1)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("fps", [None, Fraction(10)])
def test_frames_of_pyav_go_to_the_gpu(small_clip: Path, fps: Fraction | None) -> None:
    expected = frames_of(open_(small_clip, "pyav", fps=fps)[0])
    with cupy_on_the_cpu() as cupy:
        source, note = open_(small_clip, "pyav", "cuda:0", fps=fps)
        assert (source.decoder, note) == ("pyav", "")
        chunks = list(source)  # all of them kept: none is written over by the next one
        source.close()
        assert all(isinstance(chunk.frames, cupy.ndarray) for chunk in chunks)
        np.testing.assert_array_equal(np.concatenate([chunk.frames.get() for chunk in chunks]), expected)
        assert source.info == open_(small_clip, "pyav")[0].info


def test_notes_name_dali_once() -> None:
    assert dali_note("DALI: no such thing") == "DALI: no such thing"
    assert dali_note("DALI gave 3 frames") == "DALI gave 3 frames"
    assert dali_note("not a video") == "DALI: not a video"
