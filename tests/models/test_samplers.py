"""Every sample once an epoch, over all ranks, whatever happens in between."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.models import ClipSampler
from vidprep.pipeline.errors import UsageError

ranks = st.integers(1, 5)
sizes = st.integers(1, 60)


def all_ranks(count: int, num_ranks: int, **options) -> list[ClipSampler]:
    return [ClipSampler(count, rank=rank, num_ranks=num_ranks, **options) for rank in range(num_ranks)]


def numbers(keys) -> list[int]:
    return [sample for _, sample in keys]


@given(sizes, ranks, st.booleans())
def test_every_sample_once_over_all_ranks(count: int, num_ranks: int, shuffle: bool) -> None:
    samplers = all_ranks(count, num_ranks, shuffle=shuffle)
    for epoch in range(2):
        parts = [list(sampler) for sampler in samplers]
        assert sorted(key for part in parts for key in part) == [(epoch, sample) for sample in range(count)]
        assert [len(part) for part in parts] == [len(sampler) for sampler in samplers]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(sizes, ranks, st.integers(1, 20))
def test_all_ranks_have_as_many_batches(count: int, num_ranks: int, batch_size: int) -> None:
    samplers = all_ranks(count, num_ranks)
    if count < num_ranks:
        with pytest.raises(UsageError, match="cannot give each"):
            samplers[0].batches(batch_size)
        return
    parts = [list(sampler.batches(batch_size)) for sampler in samplers]
    assert sorted(key for part in parts for batch in part for key in batch) == [(0, i) for i in range(count)]
    assert {len(part) for part in parts} == {len(sampler.batches(batch_size)) for sampler in samplers}
    assert len({len(part) for part in parts}) == 1
    for step in zip(*parts, strict=True):
        lengths = [len(batch) for batch in step]
        assert max(lengths) - min(lengths) <= 1
        assert min(lengths) >= 1
        assert max(lengths) <= batch_size + 1
    assert all(len(batch) == batch_size for part in parts for batch in part[:-1])


def test_batches_are_in_the_order_of_the_samples() -> None:
    sampler = ClipSampler(50, rank=1, num_ranks=2, seed=4)
    keys = list(sampler)
    sampler.set_epoch(0)
    assert [key for batch in sampler.batches(7) for key in batch] == keys


def test_what_is_left_joins_the_last_batches() -> None:
    lengths = [[len(batch) for batch in sampler.batches(4)] for sampler in all_ranks(26, 3)]
    assert lengths == [[4, 5], [4, 5], [4, 4]]  # two are left over, too few for three ranks


def test_epochs_and_seeds_differ_and_repeat() -> None:
    sampler = ClipSampler(40, seed=1)
    first, second = numbers(sampler), numbers(sampler)
    assert first != second != sorted(second)
    assert numbers(ClipSampler(40, seed=2)) != first
    assert numbers(ClipSampler(40, seed=1)) == first
    sampler.set_epoch(1)
    assert numbers(sampler) == second
    assert numbers(ClipSampler(40, shuffle=False)) == list(range(40))


def test_each_pass_is_an_epoch() -> None:
    """Also one that was left early, and iterators that nobody took anything from are none."""
    sampler = ClipSampler(10)
    assert sampler.epoch == 0
    keys = iter(sampler)
    assert next(keys)[0] == next(keys)[0] == 0
    iter(sampler)
    assert {epoch for epoch, _ in sampler} == {1}
    assert {epoch for batch in sampler.batches(3) for epoch, _ in batch} == {2}
    sampler.set_epoch(7)
    assert sampler.epoch == 7
    assert {epoch for epoch, _ in sampler} == {7}


def test_the_order_is_the_same_for_all_ranks() -> None:
    """Ranks are dealt one order, so that a run on more of them sees the same samples at the same time."""
    whole = numbers(ClipSampler(20, seed=3))
    parts = [numbers(sampler) for sampler in all_ranks(20, 4, seed=3)]
    assert [part[step] for step in range(5) for part in parts] == whole


@given(st.integers(3, 60), st.integers(1, 3), st.integers(1, 9), st.data())
def test_resumed_equals_uninterrupted(count: int, num_ranks: int, batch_size: int, data) -> None:
    rank = data.draw(st.integers(0, num_ranks - 1))
    options = {"rank": rank, "num_ranks": num_ranks, "seed": 5}
    whole = list(ClipSampler(count, **options).batches(batch_size))
    had = data.draw(st.integers(0, len(whole)))
    sampler = ClipSampler(count, **options)
    batches = iter(sampler.batches(batch_size))
    for _ in range(had):
        next(batches)
    state = pickle.loads(pickle.dumps(sampler.state_dict()))
    resumed = ClipSampler(count, **options)
    resumed.load_state_dict(state)
    resumed.set_epoch(state["epoch"])  # as a loop over epochs does; it keeps the place
    assert list(resumed.batches(batch_size)) == whole[had:]
    sampler = ClipSampler(count, **options)
    sampler.set_epoch(1)
    assert list(resumed.batches(batch_size)) == list(sampler.batches(batch_size))


def test_resuming_by_what_was_really_had() -> None:
    """A loader with workers takes keys ahead of what it hands out."""
    sampler = ClipSampler(20)
    keys = list(sampler)
    resumed = ClipSampler(20)
    resumed.load_state_dict(sampler.state_dict(num_taken=8))
    rest = iter(resumed)
    assert [next(rest) for _ in range(4)] == keys[8:12]
    again = ClipSampler(20)
    again.load_state_dict(resumed.state_dict(num_taken=3))
    assert list(again) == keys[11:]


def test_resuming_on_another_number_of_ranks() -> None:
    keys = list(ClipSampler(21))
    two = all_ranks(21, 2)
    for sampler in two:
        batches = iter(sampler.batches(3))
        next(batches)
        next(batches)
    three = all_ranks(21, 3)
    for sampler in three:
        sampler.load_state_dict(two[0].state_dict())
    rest = [batch for sampler in three for batch in sampler.batches(2)]
    assert sorted(key for batch in rest for key in batch) == sorted(keys[12:])


def test_the_state_at_the_end_leaves_nothing() -> None:
    for sampler in all_ranks(7, 3):
        keys = list(sampler.batches(2))
        assert keys
        other = ClipSampler(7, rank=sampler.rank, num_ranks=3)
        other.load_state_dict(sampler.state_dict())
        assert list(other.batches(2)) == []
        assert next(iter(other))[0] == 1


def test_another_sampler_s_state_is_refused() -> None:
    state = ClipSampler(20, seed=1).state_dict()
    for other, name in (
        (ClipSampler(21, seed=1), "num_samples=20"),
        (ClipSampler(20, seed=2), "seed=1"),
        (ClipSampler(20, seed=1, shuffle=False), "shuffle=True"),
    ):
        with pytest.raises(UsageError, match=rf"state of a sampler with {name}, and this one has"):
            other.load_state_dict(state)
    for wrong in ({}, None, {**state, "format": 0}):
        with pytest.raises(UsageError, match="not the state of a ClipSampler"):
            ClipSampler(20, seed=1).load_state_dict(wrong)
    with pytest.raises(UsageError, match=r"a place is 0 to 20, got 21"):
        ClipSampler(20, seed=1).load_state_dict({**state, "first": 21})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClipSampler(0), "at least one sample, got 0"),
        (lambda: ClipSampler([]), "at least one sample, got 0"),
        (lambda: ClipSampler(5, seed=-1), r"seed must be 0 to 2\*\*64 - 1, got -1"),
        (lambda: ClipSampler(5, rank=1), "rank and num_ranks go together"),
        (lambda: ClipSampler(5, rank=2, num_ranks=2), "rank must be 0 to 1 of 2 ranks, got 2"),
        (lambda: ClipSampler(5, rank=0, num_ranks=0), "num_ranks must be at least 1, got 0"),
        (lambda: ClipSampler(5).batches(0), "batch_size must be at least 1, got 0"),
        (lambda: ClipSampler(5).set_epoch(-1), "an epoch is a number from 0, got -1"),
        (lambda: ClipSampler(5).state_dict(6), "0 to 5 samples in this pass, got 6"),
        (lambda: ClipSampler(2, rank=0, num_ranks=3).batches(1), "2 samples in all cannot give each of 3 ranks"),
    ],
)
def test_numbers_out_of_range(call, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_too_few_left_for_more_ranks() -> None:
    sampler = ClipSampler(10)
    sampler.load_state_dict({**sampler.state_dict(), "first": 8})
    more = ClipSampler(10, rank=0, num_ranks=3)
    more.load_state_dict(sampler.state_dict())
    with pytest.raises(UsageError, match=r"2 samples are left .* go on with the next epoch"):
        next(iter(more.batches(2)))


def test_ranks_are_those_of_torch_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 2, get_world_size=lambda: 3
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", here)
    sampler = ClipSampler(10)
    assert (sampler.rank, sampler.num_ranks) == (2, 3)
    here.is_initialized = lambda: False
    sampler = ClipSampler(10)
    assert (sampler.rank, sampler.num_ranks) == (0, 1)
