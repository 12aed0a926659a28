"""``vidprep bench loader``: what it measures, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

QUICK = ("--seconds", "0.05", "--length", "4", "--crop", "16x12", "--batch-size", "2")


def test_table(dataset_cache: Path, vidprep_command: Callable) -> None:
    result = vidprep_command("bench", "loader", dataset_cache, *QUICK, "--threads", "1", "--threads", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["codec", "batch", "read", "by", "clips/s", "delivered"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [codec, "2", count, "threads" if count == "2" else "thread"]
        for codec in ("lz4", "zstd", "none")
        for count in ("1", "2")
    ]


def test_json(dataset_cache: Path, vidprep_command: Callable) -> None:
    result = vidprep_command("bench", "loader", dataset_cache, *QUICK, "--threads", "1", "--codec", "lz4", "--json")
    report = json.loads(result.stdout)
    (speed,) = report["measurements"]
    assert (speed["codec"], speed["batch_size"], speed["readers"], speed["count"]) == ("lz4", 2, "threads", 1)
    assert speed["clips_per_second"] > 0
    assert speed["clip_bytes"] == 4 * 12 * 16 * 3
    assert (report["modality"], report["crop"]) == ("residual", [12, 16])


def test_what_it_feeds(tmp_path: Path, vidprep_command: Callable) -> None:
    from made_caches import make_cache
    from media import moving_texture

    make_cache(tmp_path / "cache", {"a": moving_texture(20, (114, 120))})
    result = vidprep_command(
        "bench", "loader", tmp_path / "cache", "--seconds", "0.05", "--threads", "1", "--codec", "none", "-m", "rgb"
    )
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if "feed" in line]
    assert line.startswith("none: ")
    assert "clips/s feed resnet18-3d in training at" in line


def test_workers(dataset_cache: Path, vidprep_command: Callable) -> None:
    pytest.importorskip("torch")
    result = vidprep_command("bench", "loader", dataset_cache, *QUICK, "--workers", "1", "--codec", "lz4")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:4] == ["lz4", "2", "1", "worker"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-m", "flow"], "flow"),
        (["--length", "13"], "has no video with 13 frames of residual and 16x12 pixels: ask for shorter or smaller"),
        (["--crop", "33x24"], "has no video with 4 frames of residual and 33x24 pixels"),
        (["--batch-size", "0"], "--batch-size"),
        (["--codec", "gzip"], "--codec"),
        (["--seconds", "0"], "--seconds"),
    ],
)
def test_refused(dataset_cache: Path, refused: Callable, options: list[str], words: str) -> None:
    assert words in refused("bench", "loader", dataset_cache, *QUICK, *options)


def test_no_cache(tmp_path: Path, refused: Callable) -> None:
    assert "is not a cache" in refused("bench", "loader", tmp_path, status=1)
