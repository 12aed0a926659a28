"""benchmarks/loader.py: its quick form runs, and it never compares those who read different clips."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media import write_clip

SHAPE = (16, 112, 112, 3)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip that is long and lively enough to be taken for footage."""
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "clip.mp4", size=(128, 176), num_frames=61)
    return folder


@pytest.fixture
def process(repository_root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that holds a contender to the clips of its task."""
    monkeypatch.syspath_prepend(str(repository_root / "benchmarks"))
    return importlib.import_module("loader_cases.process")


def run(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "benchmarks" / "loader.py"), "--quick", "--clips", "34", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_quick_form(repository_root: Path, footage: Path, tmp_path: Path) -> None:
    names = ["read_batch, 2 threads", "h5py on the same shards", "gzip", "PyAV", "codec alone"]
    places = ["--videos", str(footage), "--scratch", str(tmp_path)]
    done = run(repository_root, *places, "--only", *(name for name in names))
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ") and "contender" not in line]
    for name in names:
        assert any(name in row for row in rows)
    for rival in ("one process", "gzip", "decoding", "codec"):
        assert any(rival in line for line in done.stdout.splitlines() if "goal: at least" in line)
    assert not list(tmp_path.iterdir())  # stores are removed


def test_cold(repository_root: Path, footage: Path, tmp_path: Path) -> None:
    done = run(
        repository_root,
        "--videos",
        str(footage),
        "--scratch",
        str(tmp_path),
        "--cold",
        "--only",
        "read_batch, 1 thread",
    )
    assert done.returncode == 0, done.stderr
    assert "page cache dropped before each turn" in done.stdout


def test_nobody_left(repository_root: Path, footage: Path) -> None:
    done = run(repository_root, "--videos", str(footage), "--only", "nothing")
    assert done.returncode == 2
    assert "nobody is left" in done.stderr


@pytest.mark.parametrize(
    ("change", "exact", "accepted"),
    [
        pytest.param(lambda clips: clips, True, True, id="the same"),
        pytest.param(lambda clips: clips + 1, True, False, id="one grey level off"),
        pytest.param(lambda clips: clips + 1, False, True, id="near"),
        pytest.param(lambda clips: clips + 9, False, False, id="not near"),
        pytest.param(lambda clips: clips[::-1], True, False, id="in another order"),
        pytest.param(lambda clips: clips[1:], True, False, id="one too few"),
    ],
)
def test_other_clips_are_refused(
    process: Any, tmp_path: Path, change: Callable[[Any], Any], exact: bool, accepted: bool
) -> None:
    case = importlib.import_module("loader_cases.case")
    clips = np.random.default_rng(0).integers(0, 200, (3, *SHAPE), np.uint8)
    places = (2, 0, 1)
    np.save(tmp_path / "clips.npy", clips)
    clip = case.Clip(video="", start=0, y=0, x=0)
    task = case.Task(root=tmp_path, clips=(clip,) * 3, places=places, sources={})

    def batches() -> Iterator[Any]:
        yield change(clips[list(places)])

    contender = case.Contender(name="it", open=lambda task: batches, group="", exact=exact)
    if accepted:
        process.check(contender, task, batches())
    else:
        with pytest.raises(SystemExit, match="it delivers"):
            process.check(contender, task, batches())
