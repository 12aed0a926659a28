"""How numbers, results and progress are shown."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click
import pytest

from vidprep.cli import progress as progress_module
from vidprep.cli.options import FPS, SIZE
from vidprep.cli.progress import ProgressDisplay
from vidprep.cli.rendering import counted, echo_json
from vidprep.pipeline.events import Advanced, ShardFinished, VideoFinished
from vidprep.pipeline.run import Progress


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (12345, "12,345 videos")]
)
def test_counted(number: int, text: str) -> None:
    assert counted(number, "video") == text


def test_json_of_nested_results(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Inner:
        path: Path

    @dataclass(frozen=True)
    class Outer:
        parts: tuple[Inner, ...]

    echo_json(Outer(parts=(Inner(path=Path("/a/b")),)))
    assert json.loads(capsys.readouterr().out) == {"parts": [{"path": "/a/b"}]}


def test_a_size_is_width_first_and_becomes_height_first() -> None:
    assert SIZE.convert("170x128", None, None) == (128, 170)
    with pytest.raises(click.BadParameter, match="not a size"):
        SIZE.convert("170X128 ", None, None)


@pytest.mark.parametrize(
    ("text", "fps"), [("15", 15), ("29.97", Fraction(2997, 100)), ("30000/1001", Fraction(30000, 1001))]
)
def test_fps(text: str, fps: Fraction) -> None:
    assert FPS.convert(text, None, None) == fps


def _progress() -> Progress:
    progress = Progress(videos_total=10, videos_before=4)
    progress.take(Advanced(frames=300, num_bytes=5_000_000))
    progress.take(VideoFinished(video="a"))
    progress.take(VideoFinished(video="b", stage="open", reason="the file is empty"))
    progress.take(ShardFinished(number=3))
    return progress


def test_progress_counts_events() -> None:
    progress = _progress()
    progress.take(Advanced(frames=-100, num_bytes=-1_000_000))  # a worker died
    progress.take(VideoFinished(video="a"))  # done again
    assert (progress.frames, progress.num_bytes, progress.shards) == (200, 4_000_000, 1)
    assert (progress.finished, progress.failed) == ({"a"}, {"b"})


def test_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with ProgressDisplay() as display:
        now += 5
        display.update(_progress())
        assert capsys.readouterr().err == ""  # not more often than every ten seconds
        now += 5
        display.update(_progress())
        display.update(_progress())
    assert capsys.readouterr().err == "6 of 10 videos: 30 frames/s  500.0 kB/s  0:20 left  1 failed\n"


def test_a_live_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with ProgressDisplay() as display:
        display.update(_progress())
        display._bar.refresh()
    shown = terminal.getvalue()
    assert "6/10" in shown
    assert "frames/s" in shown
    assert "1 failed" in shown


def test_nothing_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(quiet=True) as display:
        display.update(_progress())
    assert capsys.readouterr().err == ""


def test_one_frame_is_no_frames(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 20.0])
    monkeypatch.setattr("vidprep.cli.progress.time.monotonic", lambda: next(clock))
    ProgressDisplay().update(Progress(videos_total=10, videos_before=0, frames=20))
    assert "0 of 10 videos: 1 frame/s " in capsys.readouterr().err
