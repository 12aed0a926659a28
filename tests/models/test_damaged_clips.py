"""Damage in a cache: a sentence, or another sample in its place, counted."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from vidprep import Cache
from vidprep.models import ClipDataset, ClipSampler, FlowStacks
from vidprep.pipeline.cache import DamagedClipsError, shard_path
from vidprep.pipeline.errors import CacheError

torch = pytest.importorskip("torch")

VIDEOS = {f"a/{i}": 9 for i in range(4)} | {f"b/{i}": 9 for i in range(4)}


@pytest.fixture
def damaged(make_clips, damage) -> Cache:
    """Eight videos of two chunks; the second chunk of residuals of a/1 and the first of rgb of b/2 are damaged."""
    cache = make_clips(VIDEOS)
    damage(cache, "a/1", "residual", 1)
    damage(cache, "b/2", "rgb", 0)
    return Cache(cache.path)


@pytest.mark.parametrize(("modality", "video", "shard", "chunk"), [("residual", "a/1", 0, 1), ("rgb", "b/2", 1, 0)])
def test_damage_names_video_shard_and_chunk(damaged, modality, video, shard, chunk) -> None:
    dataset = ClipDataset(damaged, modality, length=8)
    pattern = rf"shard-0000{shard}.h5 is damaged: chunk {chunk} of {modality} of '{video}' cannot be read"
    with pytest.raises(DamagedClipsError, match=pattern):
        dataset.__getitems__([(0, sample) for sample in range(8)])
    assert (dataset.read([(0, 0), (0, 7)]).numbers >= 0).all()


def test_other_samples_stand_in(damaged, caplog) -> None:
    dataset = ClipDataset(damaged, ["residual", "rgb"], length=8, skip_damaged=True)
    keys = [(0, sample) for sample in range(8)]
    with caplog.at_level(logging.WARNING):
        batch = dataset.read(keys)
        dataset.read(keys)
    assert batch.replaced.tolist() == [False, True, False, False, False, False, True, False]
    assert not set(batch.samples.tolist()) & {1, 6}
    assert (batch.samples == batch.positions).all()
    assert (batch.labels == (batch.positions >= 4)).all()
    for clip, sample in enumerate(batch.samples.tolist()):
        alone = dataset.read([(0, sample)])
        for modality in ("residual", "rgb"):
            assert (batch.frames[modality][clip] == alone.frames[modality][0]).all()
        assert (batch.numbers[clip] == alone.numbers[0]).all()
    assert caplog.text.count("chunk 1 of residual of 'a/1' in shard 0 is damaged") == 1
    assert caplog.text.count("chunk 0 of rgb of 'b/2' in shard 1 is damaged") == 1
    counted = {(each.video, each.modality, each.shard, each.chunk): count for each, count in dataset.damage.items()}
    assert set(counted) == {("a/1", "residual", 0, 1), ("b/2", "rgb", 1, 0)}
    assert all(count >= 2 for count in counted.values())


def test_the_same_sample_stands_in_again(damaged) -> None:
    """In any batch; and in another epoch another one."""
    dataset = ClipDataset(damaged, ["residual", "rgb"], length=8, skip_damaged=True)
    together = dataset.read([(epoch, sample) for epoch in range(20) for sample in range(8)])
    assert together.samples[1] == dataset.read([(0, 1)]).samples[0]
    assert len(set(together.samples.reshape(20, 8)[:, 1].tolist())) > 2


def test_a_sample_says_that_it_stands_in(damaged) -> None:
    dataset = ClipDataset(damaged, ["residual", "rgb"], length=8, skip_damaged=True)
    batches = list(torch.utils.data.DataLoader(dataset, batch_sampler=ClipSampler(dataset).batches(3)))
    replaced = torch.cat([batch["replaced"] for batch in batches])
    assert replaced.sum() == 2
    assert "a/1" not in [id_ for batch in batches for id_ in batch["video"]]


def test_clips_that_do_not_need_the_chunk_are_read(damaged) -> None:
    dataset = ClipDataset(damaged, "residual", length=3, jitter=False, skip_damaged=True)
    assert dataset.read([(0, sample) for sample in range(8)]).replaced.tolist() == [False, True] + [False] * 6
    first = ClipDataset(damaged, "residual", length=1, jitter=False, clips_per_video=8).read([8, 9, 10, 11])
    assert first.numbers.tolist() == [[0], [1], [2], [3]]


def test_flow_stacks_keep_what_could_be_read(make_clips, damage) -> None:
    """Channels of the good clips of a batch are put in order although one clip is damaged."""
    cache = make_clips(VIDEOS, modalities=["flow", "rgb"])
    expected = FlowStacks(cache, "rgb", length=4, random=False).read(range(8))
    damage(cache, "a/3", "flow", 0)
    batch = FlowStacks(Cache(cache.path), "rgb", length=4, random=False, skip_damaged=True).read(range(8))
    assert np.flatnonzero(batch.replaced).tolist() == [3]
    for clip in range(8):
        for name, frames in batch.frames.items():
            assert (frames[clip] == expected.frames[name][batch.samples[clip]]).all()


def test_too_much_damage_is_an_error(make_clips, damage) -> None:
    cache = make_clips({"a": 4, "b": 4}, modalities=["rgb"])
    for video in ("a", "b"):
        damage(cache, video, "rgb", 0)
    dataset = ClipDataset(Cache(cache.path), "rgb", length=2, skip_damaged=True)
    with pytest.raises(DamagedClipsError, match="is damaged: chunk 0 of rgb"):
        dataset.read([(0, 0), (0, 1)])


def test_a_shard_that_is_gone_is_no_damage_to_skip(make_clips) -> None:
    cache = make_clips(VIDEOS)
    shard_path(cache.path, 1).unlink()
    dataset = ClipDataset(Cache(cache.path), "rgb", length=2, skip_damaged=True)
    with pytest.raises(CacheError, match=r"shard-00001.h5") as caught:
        dataset.read([(0, 7)])
    assert not isinstance(caught.value, DamagedClipsError)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_damage_in_a_worker_reaches_the_loop(damaged, num_workers) -> None:
    dataset = ClipDataset(damaged, "rgb", length=8)
    context = "fork" if num_workers else None
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=8, num_workers=num_workers, multiprocessing_context=context
    )
    with pytest.raises(CacheError, match=r"shard-00001.h5 is damaged: chunk 0 of rgb of 'b/2'"):
        list(loader)
