"""Random numbers as a function of what they are for, not of when they are asked for.

A number depends on the seed, the epoch, the sample and the purpose alone. So a sample comes out the same in whatever
process, batch or order it is made, any of them can be made again by itself, and nothing has to be saved to resume.

The generator is counter-based: each of these inputs is added to the state, times the increment of SplitMix64, and mixed
in by that generator's finaliser, a bijection of 64 bits (Steele, Lea, Flood: "Fast splittable pseudorandom number
generators", OOPSLA 2014; the constants are David Stafford's "Mix13"). It is arithmetic on 64-bit integers, so all
machines and all versions of NumPy give the same numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_INCREMENT = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio
_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1
_FNV_BASIS, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def random_bits(
    seed: int, epoch: ArrayLike, samples: ArrayLike, purpose: str, draw: ArrayLike = 0
) -> NDArray[np.uint64]:
    """Return 64 random bits for each of the samples.

    Parameters
    ----------
    seed
        0 to 2**64 - 1.
    epoch, samples, draw
        Non-negative integers that broadcast with each other. Several numbers for one sample and purpose are draws 0, 1,
        2, ...
    purpose
        Names what is chosen, such as ``"start"``. Different purposes are independent of each other.

    Returns
    -------
    ndarray
        Of the broadcast shape.
    """
    counters: tuple[NDArray[np.uint64], ...] = tuple(
        np.broadcast_arrays(*(np.asarray(each).astype(np.uint64) for each in (epoch, samples, draw)))
    )
    increment = np.array([_INCREMENT], np.uint64)
    state = np.full(counters[0].size, _key(seed, purpose), np.uint64)
    for counter in counters:
        state = _mix(state + counter.reshape(-1) * increment)
    return state.reshape(counters[0].shape)


def uniform(seed: int, epoch: ArrayLike, samples: ArrayLike, purpose: str, draw: ArrayLike = 0) -> NDArray[np.float64]:
    """Return numbers from [0, 1), all multiples of 2**-53 equally likely. Parameters as for ``random_bits``."""
    return (random_bits(seed, epoch, samples, purpose, draw) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(
    seed: int, epoch: ArrayLike, samples: ArrayLike, purpose: str, high: ArrayLike, draw: ArrayLike = 0
) -> NDArray[np.int64]:
    """Return integers from 0 to ``high - 1``, equally likely but for ``high / 2**53``.

    Parameters
    ----------
    high
        1 to 2**53, broadcast with the samples. The others are as for ``random_bits``.
    """
    numbers: NDArray[np.float64] = uniform(seed, epoch, samples, purpose, draw) * np.asarray(high, np.float64)
    return numbers.astype(np.int64)


def permutation(seed: int, epoch: int, count: int, purpose: str) -> NDArray[np.int64]:
    """Return the integers from 0 to ``count - 1`` in random order."""
    return np.argsort(random_bits(seed, epoch, np.arange(count), purpose), kind="stable").astype(np.int64)


@lru_cache(maxsize=256)
def _key(seed: int, purpose: str) -> int:
    assert 0 <= seed <= _MASK
    name = _FNV_BASIS
    for byte in purpose.encode():  # FNV-1a: Python's own hash differs from process to process
        name = (name ^ byte) * _FNV_PRIME & _MASK
    state = np.array([seed], np.uint64) + np.uint64(_INCREMENT)
    return int(_mix(_mix(state) ^ np.uint64(name))[0])


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    first, second = (np.uint64(factor) for factor in _FACTORS)
    state = (state ^ (state >> np.uint64(30))) * first
    state = (state ^ (state >> np.uint64(27))) * second
    return state ^ (state >> np.uint64(31))
