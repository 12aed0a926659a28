"""Damage of every kind: found by verification, mended from the source, byte by byte."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import vidprep
from extraction import cache_bytes
from interruption import assert_same_bytes
from media import write_clip
from vidprep.pipeline.cache import PlanTable, shard_path, sidecar_path, verify
from vidprep.pipeline.errors import CacheError
from vidprep.pipeline.repair import repair


def flip_a_bit(path: Path, seed: int = 0) -> None:
    """Flip one bit somewhere."""
    rng = random.Random(f"{path.name} {seed}")
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def test_a_flipped_bit_in_any_file_is_found(cache_copy: Path) -> None:
    for name, data in cache_bytes(cache_copy).items():
        for seed in range(6):
            flip_a_bit(cache_copy / name, seed)
            assert not _is_whole(cache_copy), (name, seed)
            (cache_copy / name).write_bytes(data)
    assert _is_whole(cache_copy)


def _is_whole(cache: Path) -> bool:
    try:
        return verify(cache).ok
    except CacheError:  # a flipped bit in cache.json may make it one of another version
        return False


def test_a_flipped_bit_in_a_shard_is_mended(dataset_cache: Path, cache_copy: Path) -> None:
    flip_a_bit(shard_path(cache_copy, 1))
    result = repair(cache_copy, workers=1)
    assert (result.before.ok, result.rebuilt, result.after.ok) == (False, (1,), True)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_everything_at_once_is_mended(dataset_cache: Path, cache_copy: Path) -> None:
    """A flipped bit, a truncated shard, missing and damaged sidecars, index and failures, strangers and leftovers."""
    os.truncate(shard_path(cache_copy, 0), 1000)
    sidecar_path(cache_copy, 1).unlink()
    shard_path(cache_copy, 2).unlink()
    flip_a_bit(sidecar_path(cache_copy, 3))
    flip_a_bit(cache_copy / "index.parquet")
    (cache_copy / "failures.csv").write_text("video,stage,reason\nall,open,gone\n")
    for path in (shard_path, sidecar_path):
        shutil.copyfile(path(dataset_cache, 3), path(cache_copy, 9))
    (cache_copy / "shards" / ".shard-00001.h5.elsewhere-5.tmp").write_bytes(b"half")
    result = repair(cache_copy, workers=2)
    assert (result.rebuilt, result.after.ok) == ((0, 1, 2, 3), True)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


@pytest.mark.parametrize("name", ["index.parquet", "failures.csv"])
def test_what_follows_from_the_shards_needs_no_source(name: str, dataset_cache: Path, cache_copy: Path) -> None:
    (cache_copy / name).unlink()
    result = repair(cache_copy, source="/nowhere", workers=1)
    assert (result.rebuilt, result.after.ok) == ((), True)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_a_whole_cache_is_left_alone(cache_copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache_copy.rglob("*.parquet")}
    result = repair(cache_copy, workers=1)
    assert (result.rebuilt, result.before) == ((), result.after)
    assert {path: path.stat().st_mtime_ns for path in cache_copy.rglob("*.parquet")} == before


def test_nothing_is_touched_when_the_source_is_gone(tmp_path: Path) -> None:
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_clip(source / name, num_frames=4)
    vidprep.extract(source, cache, size=(24, 32), shard_videos=2, workers=1)
    whole = cache_bytes(cache)
    flip_a_bit(shard_path(cache, 0))
    damaged = cache_bytes(cache)
    moved = source.rename(tmp_path / "moved")
    with pytest.raises(CacheError, match=r"^2 of the videos .* gone or have changed .*--source.*nothing was touched$"):
        repair(cache, workers=1)
    assert_same_bytes(cache_bytes(cache), damaged)
    kept = (moved / "a.mp4").read_bytes()
    (moved / "a.mp4").write_bytes(kept + b"more")
    with pytest.raises(CacheError, match=r"^1 of the videos .*a\.mp4"):
        repair(cache, source=moved, workers=1)
    assert_same_bytes(cache_bytes(cache), damaged)
    (moved / "a.mp4").write_bytes(kept)
    assert repair(cache, source=moved, workers=1).after.ok
    assert_same_bytes(cache_bytes(cache), whole)


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_damaged_plan_is_written_anew_by_extract(
    how: str, dataset: Path, dataset_cache: Path, cache_copy: Path
) -> None:
    plan = cache_copy / "plan.parquet"
    if how == "flipped":
        flip_a_bit(plan)
    else:
        plan.unlink()
    assert [damage.kind for damage in verify(cache_copy).damage] == ["plan"]
    sidecar_path(cache_copy, 2).unlink()  # else it would be made from the sidecars
    before = cache_bytes(cache_copy)
    with pytest.raises(CacheError, match=r"^plan.parquet, and .* damaged or missing .*run the `vidprep extract` that"):
        repair(cache_copy, workers=1)
    assert_same_bytes(cache_bytes(cache_copy), before)
    assert vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1).videos_before == 3
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


@pytest.mark.parametrize("name", ["cache.json", "plan.parquet"])
def test_header_and_plan_are_made_from_each_other(name: str, dataset_cache: Path, cache_copy: Path) -> None:
    whole = cache_bytes(dataset_cache)
    for seed in range(40):
        flip_a_bit(cache_copy / name, seed)
        if b'"format_version": 1,' not in (cache_copy / name).read_bytes()[:30] and name == "cache.json":
            (cache_copy / name).write_bytes(whole[name])  # it may be of another version then, and is refused
            continue
        result = repair(cache_copy, source="/nowhere", workers=1)
        assert (result.before.ok, result.rebuilt, result.after.ok) == (False, (), True), seed
        assert_same_bytes(cache_bytes(cache_copy), whole)
    (cache_copy / name).unlink()
    assert repair(cache_copy, source="/nowhere", workers=1).after.ok
    assert_same_bytes(cache_bytes(cache_copy), whole)


def test_a_header_that_is_lost_with_its_plan(dataset: Path, dataset_cache: Path, cache_copy: Path) -> None:
    for name in ("cache.json", "plan.parquet"):
        (cache_copy / name).write_bytes((cache_copy / name).read_bytes()[:-9])
    with pytest.raises(CacheError, match=r"^cache.json and plan.parquet are damaged .*run the `vidprep extract` that"):
        repair(cache_copy, workers=1)
    for name in ("cache.json", "plan.parquet"):
        (cache_copy / name).unlink()
    with pytest.raises(CacheError, match="is not a cache"):
        repair(cache_copy, workers=1)
    vidprep.extract(dataset, cache_copy, size=(24, 32), workers=1)
    assert_same_bytes(cache_bytes(cache_copy), cache_bytes(dataset_cache))


def test_a_plan_of_videos_that_failed_is_made_again(tmp_path: Path) -> None:
    """What the index does not list is in the sidecars: sizes, and the labels of videos that failed."""
    source, cache = tmp_path / "videos", tmp_path / "cache"
    (source / "class").mkdir(parents=True)
    write_clip(source / "class" / "a.mp4", num_frames=4)
    (source / "class" / "b.mp4").write_text("no video")
    vidprep.extract(source, cache, size=(24, 32), workers=1)
    whole = cache_bytes(cache)
    (cache / "plan.parquet").unlink()
    assert repair(cache, workers=1).after.ok
    assert_same_bytes(cache_bytes(cache), whole)


def test_a_shard_of_other_videos_is_replaced(dataset_cache: Path, cache_copy: Path) -> None:
    other = cache_copy.with_name("other")
    shutil.copytree(cache_copy, other)
    plan = PlanTable.read(other)
    swapped = {1: 2, 2: 1}
    videos = sorted((replace(v, shard=swapped.get(v.shard, v.shard)) for v in plan.videos), key=lambda v: v.shard)
    replace(plan, videos=tuple(videos)).write(other)
    assert [(damage.kind, damage.shard) for damage in verify(other).damage] == [("sidecar", 1), ("sidecar", 2)]
    assert repair(other, workers=1).after.ok


def test_videos_that_failed_stay_failed(tmp_path: Path) -> None:
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    write_clip(source / "a.mp4", num_frames=4)
    (source / "b.mp4").write_text("no video")
    vidprep.extract(source, cache, size=(24, 32), shard_videos=2, workers=1)
    whole = cache_bytes(cache)
    os.truncate(shard_path(cache, 0), 100)
    (source / "b.mp4").unlink()  # there was nothing to lose of it
    result = repair(cache, workers=1)
    assert result.after.ok
    changed = cache_bytes(cache)
    assert changed["shards/shard-00000.h5"] == whole["shards/shard-00000.h5"]
    assert [failure.video for failure in vidprep.Cache(cache).failures] == ["b.mp4"]
