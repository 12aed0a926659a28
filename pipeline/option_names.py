"""What options are called in messages: as whoever reads them gave them, in Python or on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_naming: ContextVar[Callable[[str], str | None] | None] = ContextVar("_naming", default=None)


def option(name: str, in_words: str | None = None) -> str:
    """Return what a message calls an option: ``--flow-preset`` for someone who typed that, else its name in Python.

    Parameters
    ----------
    name
        In Python: ``flow_preset``.
    in_words
        For Python's messages instead of the name, where it reads better: ``flow preset``.
    """
    naming = _naming.get()
    typed = None if naming is None else naming(name)
    return typed or in_words or name


@contextmanager
def options_named(naming: Callable[[str], str | None]) -> Iterator[None]:
    """Have ``option`` ask ``naming``, from an option's name in Python, within the block and this thread.

    ``None`` is its answer where there is no such option.
    """
    before = _naming.set(naming)
    try:
        yield
    finally:
        _naming.reset(before)
