"""One row of the report, and a family of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "vidprep"

Calls = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kernel on one input.

    Parameters
    ----------
    label
        Of the row.
    count
        Frames or pairs that a call goes through.
    num_bytes
        What must be read and written at the least: each input and each output once.
    num_ops
        Additions and multiplications that the equations need at the least, where these may take longer.
    cpu
        What to time on the CPU, by column; ``OURS`` among them. They write into arrays made before, where
        they can.
    gpu
        The same on the GPU; empty without one.
    """

    label: str
    count: int
    num_bytes: int
    num_ops: int = 0
    cpu: Calls
    gpu: Calls = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A table of the report.

    Parameters
    ----------
    title
        Its heading.
    unit, per_second
        What times are in, and how many of it make a second.
    threaded
        Whether the kernel uses several threads; if not, everything runs on one.
    cases
        ``cases(gpu)`` yields the rows; with GPU calls if ``gpu``.
    note
        What to know about the peers.
    """

    title: str
    unit: str
    per_second: float
    threaded: bool
    cases: Callable[[bool], Iterator[Case]]
    note: str = ""


def to_gpu(array: Any) -> Any:
    """Return a copy as a CuPy array."""
    import cupy

    return cupy.asarray(array)
