from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.pipeline.plan import default_shard_videos, plan_shards
from vidprep.pipeline.videos import Video


def _videos(count: int) -> tuple[Video, ...]:
    return tuple(Video(id=f"{i:06}.mp4", path=Path(f"/v/{i:06}.mp4")) for i in range(count))


@given(st.integers(0, 400), st.none() | st.integers(1, 50))
def test_every_video_is_in_one_shard_in_order(count: int, per_shard: int | None) -> None:
    videos = _videos(count)
    shards = plan_shards(videos, per_shard)
    assert tuple(video for shard in shards for video in shard.videos) == videos
    assert [shard.number for shard in shards] == list(range(len(shards)))
    most = per_shard or default_shard_videos(count)
    assert all(len(shard.videos) == most for shard in shards[:-1])
    assert all(1 <= len(shard.videos) <= most for shard in shards)


@pytest.mark.parametrize(
    ("num_videos", "expected"), [(1, 1), (63, 1), (64, 2), (1000, 31), (1024, 32), (13_320, 32), (1_000_000, 32)]
)
def test_small_sets_are_spread_over_many_shards(num_videos: int, expected: int) -> None:
    assert default_shard_videos(num_videos) == expected


def test_the_name_of_a_shard_sorts_by_its_number() -> None:
    names = [shard.name for shard in plan_shards(_videos(12), 1)]
    assert names[10] == "shard-00010"
    assert names == sorted(names)
