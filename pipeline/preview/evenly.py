"""A few of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Sequence[T], number: int) -> list[T]:
    """Up to ``number`` of ``items``, evenly spaced, each from the middle of its share."""
    if len(items) <= number:
        return list(items)
    return [items[(2 * i + 1) * len(items) // (2 * number)] for i in range(number)]
