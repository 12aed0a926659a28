"""Where a cache may be, and that nothing but a cache is ever removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vidprep
from extraction import cache_bytes
from interruption import assert_same_bytes
from media import write_clip
from vidprep.pipeline.cache import sidecar_path
from vidprep.pipeline.errors import UsageError

SIZE = (24, 32)


def all_files(folder: Path) -> dict[str, bytes]:
    """Name below ``folder`` -> bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(source: Path, cache: Path, *, untouched: Path, match: str) -> None:
    """Check that a run is refused, with and without ``overwrite``, and that no file below ``untouched`` changed."""
    before = all_files(untouched)
    for overwrite in (True, False):
        with pytest.raises(UsageError, match=match):
            vidprep.extract(source, cache, size=SIZE, workers=1, overwrite=overwrite)
    assert all_files(untouched) == before


@pytest.mark.parametrize("kind", ["folder", "file", "list", "list elsewhere", "linked folder"])
def test_videos_in_the_cache_are_refused(kind: str, small_clip: Path, tmp_path: Path) -> None:
    cache = tmp_path / "p"
    (cache / "shards").mkdir(parents=True)
    video = Path(shutil.copyfile(small_clip, cache / "shards" / "a.mp4"))
    source = {"folder": cache / "shards", "file": video, "list": cache / "l.txt"}.get(kind, tmp_path / "other")
    if kind == "list":
        source.write_text("shards/a.mp4\n")
    elif kind == "list elsewhere":
        source = tmp_path / "elsewhere" / "l.txt"
        source.parent.mkdir()
        source.write_text(f"{video}\n")
    elif kind == "linked folder":
        source.mkdir()
        (source / "class").symlink_to(cache / "shards")
    refuse(source, cache, untouched=tmp_path, match=r"lies inside the cache .*: choose another folder for the cache$")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cache.json", '{"a": 1}'),
        ("cache.json", "[]"),
        ("cache.json", "{"),
        ("plan.parquet", "PAR1"),
        ("index.parquet", ""),
        ("failures.csv", "video,stage,reason\n"),
        ("shards/shard-00000.tar", "a WebDataset"),
        ("shards/shard-00000.parquet", "PAR1 of another data set"),
        ("shards/shard-00000.h5", "features"),
        ("shards/deeper/shard-00000.h5", "features"),
        ("shards", "a file"),
        (".notes.txt.host-1.tmp", "somebody's"),
        ("notes.txt", ""),
    ],
)
def test_a_folder_of_somebody_else_is_refused(name: str, content: str, dataset: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = cache / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    refuse(dataset, cache, untouched=tmp_path, match=r"holds other files \(.*\): choose an empty or a new folder")


@pytest.mark.parametrize("name", ["notes.txt", "shards/shard-00000.tar", "shards/deeper/a.h5", "shards/shard-1.h5"])
def test_what_lies_in_a_cache_and_is_not_ours_is_not_removed(name: str, dataset: Path, cache_copy: Path) -> None:
    path = cache_copy / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = all_files(cache_copy)
    with pytest.raises(UsageError, match=r"no part of a cache \(.*\): move them away before --overwrite"):
        vidprep.extract(dataset, cache_copy, size=SIZE, workers=1, overwrite=True)
    assert all_files(cache_copy) == before
    assert vidprep.extract(dataset, cache_copy, size=SIZE, workers=1).videos_before == 4  # it is not in the way
    assert path.read_text() == "mine"


@pytest.mark.parametrize("how", ["whole", "no header", "damaged header", "only sidecars", "empty", "killed at once"])
def test_what_is_a_cache_is_overwritten(how: str, dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    if how == "damaged header":
        (cache_copy / "cache.json").write_text("{}")
    elif how == "no header":
        (cache_copy / "cache.json").unlink()
    elif how == "only sidecars":
        for name in ("cache.json", "plan.parquet", "index.parquet", "failures.csv"):
            (cache_copy / name).unlink()
        sidecar_path(cache_copy, 0).write_bytes(b"damaged")
    elif how in ("empty", "killed at once"):
        shutil.rmtree(cache_copy)
        cache_copy.mkdir()
        if how == "killed at once":
            (cache_copy / "shards").mkdir()
            for name in (".lock", ".plan.parquet.host-77.tmp"):
                (cache_copy / name).write_text("half")
    (cache_copy / ".lock-1-of-2").touch()
    report = vidprep.extract(dataset, cache_copy, size=SIZE, workers=1, overwrite=True)
    assert report.videos_before == 0
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_names_that_are_no_folder(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^the cache '' is no path; name a folder for it$"):
        vidprep.extract(dataset, "", size=SIZE)
    with pytest.raises(UsageError, match="is no path"):
        vidprep.extract(dataset, "a\0b", size=SIZE)
    with pytest.raises(UsageError, match=r"^the cache's path is too long for this disk \(x{40}\.\.\.\): choose a shor"):
        vidprep.extract(dataset, tmp_path / ("x" * 300), size=SIZE)
    with pytest.raises(UsageError, match="too long"):
        vidprep.extract(dataset, tmp_path.joinpath(*["deep" * 20] * 80), size=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_beside_a_video_is_fine(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", num_frames=4)
    assert vidprep.extract(video, tmp_path / "cache", size=SIZE, workers=1).num_videos == 1
    assert vidprep.extract(video, tmp_path / "cache", size=SIZE, workers=1, overwrite=True).num_videos == 1
