"""Names in memory as Arrow has them, with a search by value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .lazy import lazy


class StringColumn:
    """Distinct strings with a search by value: 4 bytes each beyond their own, shared by forked processes."""

    def __init__(self, strings: pa.StringArray) -> None:
        self._strings = strings
        _, offsets, data = strings.buffers()
        self._offsets = np.frombuffer(offsets, np.int32)[strings.offset :] if offsets else np.zeros(1, np.int32)
        self._data = memoryview(data) if data else memoryview(b"")

    def __len__(self) -> int:
        return len(self._strings)

    def __iter__(self) -> Iterator[str]:
        return (string.as_py() for string in self._strings)

    def __getitem__(self, position: int) -> str:
        string: str = self._strings[position].as_py()
        return string

    def find(self, wanted: str) -> int | None:
        """Position of ``wanted``, or None."""
        if not _is_text(wanted):
            return None
        raw = wanted.encode()
        place = bisect_left(self._order, raw, key=self._raw)
        found = place < len(self._order) and self._raw(self._order[place]) == raw
        return int(self._order[place]) if found else None

    def find_all(self, wanted: Sequence[str]) -> NDArray[np.int64]:
        """Position of each of many strings; -1 where there is none."""
        strings = [text if text.isascii() or _is_text(text) else None for text in wanted]
        positions: NDArray[np.int64] = (
            pc.index_in(pa.array(strings, self._strings.type), value_set=self._strings)
            .fill_null(-1)
            .to_numpy()
            .astype(np.int64)
        )
        return positions

    def head(self, count: int) -> list[str]:
        """The first strings."""
        found: list[str] = self._strings[:count].to_pylist()
        return found

    def containing(self, part: str) -> list[str]:
        """Strings that contain ``part``."""
        found: list[str] = self._strings.filter(pc.match_substring(self._strings, part)).to_pylist()
        return found

    @lazy
    def _order(self) -> NDArray[np.uint32]:
        order: NDArray[np.uint32] = pc.sort_indices(self._strings).to_numpy().astype(np.uint32)
        return order

    def _raw(self, position: np.uint32) -> bytes:
        return bytes(self._data[self._offsets[position] : self._offsets[position + np.uint32(1)]])


def _is_text(string: str) -> bool:
    """Whether it can be told in UTF-8, which the names of some files cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in string)
