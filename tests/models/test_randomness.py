"""Random numbers as a function of what they are for."""

from __future__ import annotations

import numpy as np
import pytest

from vidprep.models.randomness import _mix, integers, permutation, random_bits, uniform

MASK = (1 << 64) - 1


def mix(state: int) -> int:
    """The finaliser of SplitMix64, in Python's integers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK
    return state ^ state >> 31


def test_finaliser_is_that_of_splitmix64() -> None:
    """The published first outputs of SplitMix64 from state 0."""
    increment = 0x9E3779B97F4A7C15
    states = np.array([increment * i & MASK for i in (1, 2, 3)], np.uint64)
    assert _mix(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [mix(increment * i & MASK) for i in (1, 2, 3)] == _mix(states).tolist()


def test_numbers_stay_as_they_are() -> None:
    """A training run of an older version can be resumed, on any machine."""
    assert random_bits(0, 0, [0, 1, 2], "start").tolist() == EXPECTED
    name = 0xCBF29CE484222325
    for byte in b"start":
        name = (name ^ byte) * 0x100000001B3 & MASK
    state = mix(mix(0x9E3779B97F4A7C15) ^ name)
    for counter in (0, 2, 0):
        state = mix((state + counter * 0x9E3779B97F4A7C15) & MASK)
    assert state == EXPECTED[2]


EXPECTED = [17497033347410299482, 15374733407871601567, 8033406508104486493]


def test_a_number_depends_on_nothing_else() -> None:
    alone = [uniform(5, epoch, sample, "start", 1) for epoch, sample in ((3, 7), (4, 9), (3, 8))]
    together = uniform(5, [3, 4, 3], [7, 9, 8], "start", 1)
    assert together.tolist() == [float(number) for number in alone]
    grid = uniform(5, 3, np.array([7, 8])[:, None], "start", np.arange(3))
    assert grid.shape == (2, 3)
    assert grid[0, 1] == alone[0]


@pytest.mark.parametrize("which", ["seed", "epoch", "sample", "purpose", "draw"])
def test_each_input_makes_an_independent_number(which: str) -> None:
    samples = np.arange(20_000)
    inputs = {"seed": 1, "epoch": 2, "samples": samples, "purpose": "start", "draw": 0}
    other = dict(inputs)
    other.update({"sample": {"samples": samples + 1}, "purpose": {"purpose": "crop y"}}.get(which, {which: 9}))
    first, second = uniform(**inputs), uniform(**other)  # type: ignore[arg-type]
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(samples))


def test_uniform_fills_its_range_evenly() -> None:
    numbers = uniform(1, np.arange(50)[:, None], np.arange(2000), "start")
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.bincount((numbers.ravel() * 100).astype(int), minlength=100)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 148  # of 99 degrees of freedom, one in a thousand is above


def test_integers_reach_both_ends() -> None:
    numbers = integers(1, 0, np.arange(1000), "start", 7)
    assert sorted(set(numbers.tolist())) == list(range(7))
    highs = np.array([1, 2, 3])
    assert (integers(1, 0, np.arange(300).reshape(100, 3), "start", highs).max(axis=0) == highs - 1).all()
    assert integers(1, 0, np.arange(9), "start", 1).tolist() == [0] * 9


def test_permutation_has_each_number_once() -> None:
    order = permutation(1, 2, 500, "order")
    assert sorted(order.tolist()) == list(range(500))
    assert order.tolist() == permutation(1, 2, 500, "order").tolist()
    assert order.tolist() != permutation(1, 3, 500, "order").tolist()
    assert permutation(0, 0, 1, "order").tolist() == [0]


def test_nothing_asked_nothing_given() -> None:
    assert random_bits(0, [], [], "start").shape == (0,)
    assert uniform(2**64 - 1, 0, 0, "start").shape == ()
