"""Checksums over a shard file: of its chunks, and of every byte that is in none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .checksum import xxh64, xxh64_of_parts

_READ_BYTES = 1 << 20


def chunk_checksums(fd: int, offsets: NDArray[np.uint64], sizes: NDArray[np.uint32]) -> Iterator[int | None]:
    """XXH64 of each chunk as it is on disk; None for one that the file is too short for.

    Chunks that lie side by side are read together: a read of its own for each small chunk would cost more than its
    hash, and let threads fight for the interpreter.
    """
    buffer = np.empty(max(int(sizes.max(initial=0)), _READ_BYTES), np.uint8)
    places = list(zip(offsets.tolist(), sizes.tolist(), strict=True))
    first = 0
    while first < len(places):
        begin, size = places[first]
        end, last = begin + size, first + 1
        while last < len(places) and places[last][0] == end and end + places[last][1] - begin <= buffer.size:
            end, last = end + places[last][1], last + 1
        run = buffer[: end - begin]
        if read_exactly(fd, run, begin):
            yield from xxh64_of_parts(run, [(offset - begin, size) for offset, size in places[first:last]])
        else:
            for offset, size in places[first:last]:
                chunk = buffer[:size]
                yield xxh64(chunk) if read_exactly(fd, chunk, offset) else None
        first = last


def outside_checksum(fd: int, file_size: int, offsets: NDArray[np.uint64], sizes: NDArray[np.uint32]) -> int | None:
    """XXH64 of all bytes outside the chunks, in file order: HDF5's own structures.

    Returns
    -------
    int or None
        None if the chunks overlap, or bytes cannot be read.
    """
    order = np.argsort(offsets, kind="stable")
    starts = offsets[order].astype(np.int64)
    ends = starts + sizes[order]
    gap_starts = np.concatenate(([0], ends))
    gap_ends = np.concatenate((starts, [file_size]))
    if (gap_ends < gap_starts).any():
        return None
    outside = bytearray()
    for index in np.flatnonzero(gap_ends > gap_starts):
        gap = np.empty(gap_ends[index] - gap_starts[index], np.uint8)
        if not read_exactly(fd, gap, int(gap_starts[index])):
            return None
        outside += gap.data
    return xxh64(outside)


def read_exactly(fd: int, buffer: NDArray[np.uint8], offset: int) -> bool:
    """Fill ``buffer`` from ``offset``; False if the file ends before, or the disk cannot read it."""
    done = 0
    while done < buffer.size:
        try:
            count = os.preadv(fd, [buffer[done:].data], offset + done)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        if count == 0:
            return False
        done += count
    return True
