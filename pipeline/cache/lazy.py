"""Attributes that are computed when first asked for, by several threads and around forks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class lazy(Generic[Value]):
    """Like ``functools.cached_property``, which up to Python 3.11 holds a lock.

    A process that is forked while another thread computes would find that lock taken for ever. Here two threads may
    both compute, and either result stays.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, owner: Any, kind: type | None = None) -> Value:
        value = owner.__dict__[self._compute.__name__] = self._compute(owner)  # found there from now on
        return value
