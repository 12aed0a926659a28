"""``vidprep info``, ``verify`` and ``index``: what they say, and their exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from extraction import cache_bytes
from vidprep.pipeline.cache import shard_path, sidecar_path


def test_info(dataset_cache: Path, vidprep_command: Callable) -> None:
    result = vidprep_command("info", dataset_cache)
    assert (result.exit_code, result.stderr) == (0, "")
    for words in ("4 videos in 4 shards", "48 source frames", "4 by pyav", "2 classes", "residual", "32x24", "lz4"):
        assert words in result.stdout
    report = json.loads(vidprep_command("info", dataset_cache, "--json").stdout)
    assert (report["videos"], report["shards"], report["failures"], report["labelled"]) == (4, 4, 0, 4)
    (modality,) = report["modalities"]
    assert (modality["name"], modality["frames"], modality["raw_bytes"]) == ("residual", 44, 44 * 24 * 32 * 3)


def test_verify(cache_copy: Path, vidprep_command: Callable) -> None:
    result = vidprep_command("verify", cache_copy)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{cache_copy} is whole: 4 shards, ")
    whole = cache_bytes(cache_copy)
    data = bytearray(whole["shards/shard-00001.h5"])
    data[len(data) // 2] ^= 1
    shard_path(cache_copy, 1).write_bytes(data)
    shard_path(cache_copy, 2).write_bytes(whole["shards/shard-00002.h5"][:-1])
    sidecar_path(cache_copy, 3).unlink()
    result = vidprep_command("verify", cache_copy)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "is damaged in 3 places" in result.stdout
    assert "shard 00001" in result.stdout
    assert "Archery/b.avi, residual, chunk" in result.stdout
    assert "shard 00002" in result.stdout
    assert "shard-00003.parquet is missing" in result.stdout
    assert "--repair" in result.stdout
    report = json.loads(vidprep_command("verify", cache_copy, "--json").stdout)
    assert [damage["kind"] for damage in report["damage"]] == ["sidecar", "chunk", "shard"] or len(
        report["damage"]
    ) == 3
    result = vidprep_command("verify", cache_copy, "--repair", "--workers", "1")
    assert result.exit_code == 0
    assert "3 shards extracted again; now:" in result.stdout
    assert "is whole" in result.stdout
    assert cache_bytes(cache_copy) == whole
    again = vidprep_command("verify", cache_copy, "--repair", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["rebuilt"] == []


def test_unfinished_is_not_damaged(cache_copy: Path, vidprep_command: Callable) -> None:
    """As after Ctrl-C: some shards and no index."""
    for path in (shard_path(cache_copy, 1), sidecar_path(cache_copy, 1), shard_path(cache_copy, 2)):
        path.unlink()
    sidecar_path(cache_copy, 2).unlink()
    (cache_copy / "index.parquet").unlink()
    (cache_copy / "failures.csv").unlink()
    result = vidprep_command("verify", cache_copy)
    assert (result.exit_code, result.stderr) == (1, "")
    assert f"{cache_copy} is not finished: 2 of 4 shards are still to be extracted; " in result.stdout
    assert "run the same vidprep extract again, or" in result.stdout
    assert "is damaged" not in result.stdout
    assert "what is there is whole: 2 shards, 4 chunks" in result.stdout
    sidecar_path(cache_copy, 3).unlink()
    both = vidprep_command("verify", cache_copy).stdout
    assert "is damaged in 1 place:" in both
    assert "is not finished: 2 of 4 shards" in both
    assert "--repair makes the damaged parts again" in both
    mended = vidprep_command("verify", cache_copy, "--repair", "--workers", "1")
    assert mended.exit_code == 0
    assert mended.stdout.splitlines()[-1].startswith(f"{cache_copy} is whole")


@pytest.mark.parametrize("option", ["--source", "--device"])
def test_what_only_a_repair_needs(option: str, cache_copy: Path, refused: Callable) -> None:
    assert f"{option} does nothing without --repair" in refused("verify", cache_copy, option, "cpu")


def test_a_folder_for_an_index(cache_copy: Path, refused: Callable) -> None:
    (cache_copy / "index.parquet").unlink()
    (cache_copy / "index.parquet").mkdir()
    assert "index.parquet is a folder" in refused("info", cache_copy, status=1)


def test_info_without_labels(small_clip: Path, tmp_path: Path, vidprep_command: Callable) -> None:
    arguments = ["extract", small_clip, "--out", tmp_path / "cache", "--size", "32x24", "--workers", "1"]
    assert vidprep_command(*arguments).exit_code == 0
    assert "no labels, 0 failures" in vidprep_command("info", tmp_path / "cache").stdout


def test_repair_without_its_source(cache_copy: Path, refused: Callable) -> None:
    sidecar_path(cache_copy, 3).unlink()
    sentence = refused("verify", cache_copy, "--repair", "--source", "/nowhere", status=1)
    assert "/nowhere/Bowling/b.mkv" in sentence
    assert "nothing was touched" in sentence


def test_index(cache_copy: Path, vidprep_command: Callable) -> None:
    whole = cache_bytes(cache_copy)
    (cache_copy / "index.parquet").unlink()
    (cache_copy / "failures.csv").unlink()
    result = vidprep_command("index", cache_copy)
    assert result.exit_code == 0
    assert "4 videos in 4 shards, 0 failures" in result.stdout
    assert cache_bytes(cache_copy) == whole
    for number in (1, 3):
        shard_path(cache_copy, number).unlink()
        sidecar_path(cache_copy, number).unlink()
    result = vidprep_command("index", cache_copy)
    assert result.exit_code == 1
    assert "2 shards not yet extracted (number 1, 3)" in result.stdout
    report = json.loads(vidprep_command("index", cache_copy, "--json").stdout)
    assert (report["num_videos"], report["missing_shards"]) == (2, [1, 3])
    assert "2 videos in 2 shards" in vidprep_command("info", cache_copy).stdout
    assert vidprep_command("verify", cache_copy).exit_code == 1


@pytest.mark.parametrize("command", ["info", "verify", "index"])
def test_what_is_no_cache(command: str, refused: Callable, tmp_path: Path) -> None:
    assert "is not a cache" in refused(command, tmp_path, status=1)
    assert "is not a cache" in refused(command, tmp_path / "absent", status=1)
    assert not (tmp_path / "absent").exists()
    file = tmp_path / "file"
    file.touch()
    assert "is not a cache" in refused(command, file, status=1)
    assert list(tmp_path.iterdir()) == [file]


def test_a_cache_whose_index_is_missing(cache_copy: Path, refused: Callable) -> None:
    (cache_copy / "index.parquet").unlink()
    assert "vidprep" in refused("info", cache_copy, status=1)
