"""The index in memory: columns, not objects, so that a cache of hundreds of thousands of videos opens at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import CacheError, UsageError
from .codecs import CODECS
from .entries import Failure
from .format import INDEX_NAME
from .lazy import lazy
from .sealed import table_metadata, table_seal
from .sidecar import CHUNK_COLUMNS, SCHEMA, check_version
from .string_column import StringColumn

# Text columns that say the same in most rows: kept as numbers.
_FEW_VALUES = [field.name for field in SCHEMA if pa.types.is_string(field.type) and field.name != "video"]
SHARD, NUM_FRAMES, CHUNK_FRAMES, HEIGHT, WIDTH, CODEC = range(6)
"""Columns of ``IndexTable.layouts``."""

_ROWS_AT_A_TIME = 4096
_MANY_IDS = 2000  # a search for one by one takes as long as a table of hundreds of thousands
_MATCHES_NAMED = 3
_LEAST_LIKENESS = 0.75  # of difflib, 0 to 1: one wrong letter in four is no typo any more
_MATCHES_TRIED = 5000  # ids compared for "did you mean": more would make a typo take seconds


class UnknownVideoError(UsageError, KeyError):
    """No video has this id. A KeyError too, as a mapping's users expect."""

    __str__ = Exception.__str__  # KeyError would print the sentence as a quoted string


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """Where the chunks of one (video, modality) are, and what is in them.

    ``chunk_offsets`` and ``chunk_sizes`` are views of the index, one element per chunk.
    """

    row: int
    shard: int
    num_frames: int
    frame_shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    scale_factor: float | None
    add_offset: float | None
    chunk_frames: int
    codec: str
    chunk_offsets: NDArray[np.uint64]
    chunk_sizes: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFormat:
    """How every frame of one modality is stored.

    Physical values are ``stored * scale_factor + add_offset``; None and None if the stored ones are.
    """

    dtype: np.dtype[np.generic]
    channels: int
    scale_factor: float | None
    add_offset: float | None


class IndexTable:
    """``index.parquet``. The chunk columns, most of its bytes, are read when a chunk is first asked for.

    Raises
    ------
    CacheError
        The index is missing or damaged, of another format version, or of another config than ``config_hash``.
    """

    def __init__(self, cache: Path, config_hash: str) -> None:
        self._path = cache / INDEX_NAME
        self._hint = f"so rebuild it with `vidprep index {cache}`"
        self._table = self._read([name for name in SCHEMA.names if name not in CHUNK_COLUMNS])
        self.metadata = table_metadata(self._table.schema, self._path)
        check_version(self.metadata, self._path)
        self.seal = table_seal(self._table.schema)  # another one once the index is made again from other shards
        if self.metadata["config_hash"] != config_hash:
            raise CacheError(f"{self._path} belongs to another config, {self._hint}")
        videos = self._array("video")
        changes = np.flatnonzero(pc.not_equal(videos[1:], videos[:-1]).to_numpy(zero_copy_only=False)) + 1
        # Rows of one video lie side by side; _first_rows has a last element beyond the end.
        self._first_rows = np.concatenate(([0], changes, [len(videos)])) if len(videos) else np.zeros(1, np.int64)
        self._ids = StringColumn(videos.take(pa.array(self._first_rows[:-1])))
        self._modality_names, self._modality_codes = self._coded("modality")
        self._known: dict[str, int] = {}  # positions of the ids that were asked for
        self._dataset_rows: dict[str, NDArray[np.int64]] = {}
        self._formats: dict[str, FrameFormat] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> Iterator[str]:
        """Ids of all videos, in the order of the shards."""
        return iter(self._ids)

    def failures(self) -> tuple[Failure, ...]:
        return tuple(
            Failure(video=video, stage=stage, reason=reason) for video, stage, reason in self.metadata["failures"]
        )

    def rows(self, video_id: object) -> range:
        """Rows of a video, one per modality.

        Raises
        ------
        UnknownVideoError
            With ids that look alike.
        """
        position = self.position(video_id)
        return range(int(self._first_rows[position]), int(self._first_rows[position + 1]))

    def position(self, video_id: object) -> int:
        """Place of a video among all of them.

        Raises
        ------
        UnknownVideoError
            With ids that look alike.
        """
        position = self._known.get(video_id) if isinstance(video_id, str) else None
        if position is None:
            position = self._ids.find(video_id) if isinstance(video_id, str) else None
            if position is None:
                raise UnknownVideoError(self._unknown(video_id))
            self._known[str(video_id)] = position
        return position

    def positions(self, video_ids: Sequence[str]) -> NDArray[np.int64]:
        """Places of videos. Many are looked up at once, in a table made for them."""
        if len(video_ids) < _MANY_IDS or not all(isinstance(video, str) for video in video_ids):
            return np.array([self.position(video) for video in video_ids], np.int64)
        found = self._ids.find_all(video_ids)
        if (found < 0).any():
            raise UnknownVideoError(self._unknown(video_ids[int(found.argmin())]))
        return found

    def id(self, position: int) -> str:
        """The video at a position."""
        return self._ids[position]

    def dataset_rows(self, modality: str) -> NDArray[np.int64]:
        """Row of each video's dataset of a modality, by position; -1 where it has none.

        Raises
        ------
        UsageError
            No video has this modality.
        """
        rows = self._dataset_rows.get(modality) if isinstance(modality, str) else None
        if rows is None:
            if modality not in self._modality_names:
                there = ", ".join(self._modality_names) or "no video"
                raise UsageError(f"this cache has no modality {modality!r}: it holds {there}")
            those = np.flatnonzero(self._modality_codes == self._modality_names.index(modality))
            rows = np.full(len(self), -1, np.int64)
            rows[np.searchsorted(self._first_rows, those, side="right") - 1] = those
            self._dataset_rows[modality] = rows
        return rows

    def lacks(self, position: int, modality: str) -> str:
        """The sentence for a video without a modality."""
        rows = range(int(self._first_rows[position]), int(self._first_rows[position + 1]))
        there = ", ".join(self.modality(row) for row in rows)
        return f"{self.id(position)!r} has no modality {modality!r}: this cache holds {there}"

    def texts(self, column: str) -> list[str | None]:
        """A column of text that says the same of all modalities, one element per video."""
        names, codes = self._coded(column)
        return [None if code < 0 else names[code] for code in codes[self._first_rows[:-1]].tolist()]

    def __contains__(self, video_id: object) -> bool:
        return isinstance(video_id, str) and self._ids.find(video_id) is not None

    def modality(self, row: int) -> str:
        name: str = self._modality_names[self._modality_codes[row]]
        return name

    def value(self, column: str, row: int) -> Any:
        """One cell as a Python object."""
        return self._table.column(column)[row].as_py()

    def dataset(self, row: int) -> DatasetRow:
        """The dataset of one row."""
        chunks = self.chunks
        first, last = chunks.starts[row], chunks.starts[row + 1]
        shard, num_frames, chunk_frames, height, width, codec = self.layouts[row].tolist()
        return DatasetRow(
            row=row,
            shard=shard,
            num_frames=num_frames,
            frame_shape=(height, width, self.value("channels", row)),
            dtype=np.dtype(self.value("dtype", row)).newbyteorder("<"),
            scale_factor=self.value("scale_factor", row),
            add_offset=self.value("add_offset", row),
            chunk_frames=chunk_frames,
            codec=CODECS[codec],
            chunk_offsets=chunks.offsets[first:last],
            chunk_sizes=chunks.sizes[first:last],
        )

    def frame_format(self, modality: str) -> FrameFormat:
        """How frames of a modality are stored: alike in all videos, as one configuration made them."""
        found = self._formats.get(modality)
        if found is None:
            rows = self.dataset_rows(modality)
            row = int(rows[rows >= 0][0])
            found = self._formats[modality] = FrameFormat(
                dtype=np.dtype(self.value("dtype", row)).newbyteorder("<"),
                channels=self.value("channels", row),
                scale_factor=self.value("scale_factor", row),
                add_offset=self.value("add_offset", row),
            )
        return found

    def chunk_checksums(self, row: int) -> NDArray[np.uint64]:
        """XXH64 of each chunk of a row."""
        return self.all_checksums[self.chunks.starts[row] : self.chunks.starts[row + 1]]

    @lazy
    def layouts(self) -> NDArray[np.int64]:
        """What reading needs of each row, ``(rows, 6)``: columns ``SHARD``, ``NUM_FRAMES``, ..., ``CODEC``.

        Side by side, because a batch takes all of them of a few rows.
        """
        names = ("shard", "num_frames", "chunk_frames", "height", "width")
        columns = [self._array(name).to_numpy(zero_copy_only=False) for name in names]
        codecs, codes = self._coded("codec")
        unknown = [name for name in codecs if name not in CODECS]
        if unknown:
            raise CacheError(
                f"{self._path} names the codec {unknown[0]!r}, and this version reads {', '.join(CODECS)}, "
                "so install a newer vidprep"
            )
        return np.stack([*columns, np.array([CODECS.index(name) for name in codecs], np.int64)[codes]], axis=1)

    @lazy
    def most_frames(self) -> int:
        """Frames of the longest dataset."""
        return int(self.layouts[:, NUM_FRAMES].max(initial=1))

    @lazy
    def chunks(self) -> Chunks:
        """The chunks of all rows."""
        lengths, offsets, sizes = self._lists(("chunk_offsets", np.uint64), ("chunk_sizes", np.uint32))
        return Chunks(starts=np.concatenate(([0], np.cumsum(lengths))), offsets=offsets, sizes=sizes)

    @lazy
    def all_checksums(self) -> NDArray[np.uint64]:
        """XXH64 of the chunks of all rows."""
        return self._lists(("chunk_checksums", np.uint64))[1]

    def _lists(self, *columns: tuple[str, Any]) -> list[NDArray[Any]]:
        """Lengths of the lists in each row, int64, then the columns' elements.

        They are most of the index. Going through it by a few rows, only these are in memory twice.
        """
        names = [name for name, _ in columns]
        with self._reading():
            file = pq.ParquetFile(self._path, page_checksum_verification=True)
            if table_seal(file.schema_arrow) != self.seal:  # its rows would be those of other videos
                raise CacheError(f"{self._path} was made again since it was opened, so open the cache anew")
            paths = [file.schema.column(i).path for i in range(len(file.schema))]
            leaf = paths.index(f"{names[0]}.list.element")
            # An empty list counts as one value here: this may be more than there are.
            most = sum(file.metadata.row_group(i).column(leaf).num_values for i in range(file.num_row_groups))
            lengths = np.empty(file.metadata.num_rows, np.int64)
            flat = [np.empty(most, dtype) for _, dtype in columns]
            row = end = 0
            for rows in file.iter_batches(_ROWS_AT_A_TIME, columns=names):
                lengths[row : row + len(rows)] = pc.list_value_length(rows.column(0)).to_numpy()
                count = int(lengths[row : row + len(rows)].sum())
                for name, target in zip(names, flat, strict=True):
                    values = rows.column(name).flatten()
                    if len(values) != count:
                        raise pa.ArrowInvalid(f"lists of {name} differ in length")
                    target[end : end + count] = values.to_numpy()
                row, end = row + len(rows), end + count
        pa.default_memory_pool().release_unused()
        return [lengths, *(target[:end] for target in flat)]

    def _read(self, columns: list[str]) -> pa.Table:
        with self._reading():
            return pq.read_table(
                self._path, columns=columns, read_dictionary=_FEW_VALUES, page_checksum_verification=True
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what goes wrong with the file into one sentence."""
        try:
            yield
        except FileNotFoundError:
            raise CacheError(f"{self._path} is missing, {self._hint}") from None
        except (OSError, pa.ArrowException) as error:
            if self._path.is_dir():
                raise CacheError(f"{self._path} is a folder, {self._hint} after removing it") from None
            raise CacheError(f"{self._path} is damaged ({_first_line(error)}), {self._hint}") from None

    def _array(self, name: str) -> pa.Array:
        column = self._table.column(name)
        return column.combine_chunks() if column.num_chunks else pa.array([], column.type)

    def _coded(self, name: str) -> tuple[list[str], NDArray[np.int32]]:
        coded = self._table.column(name).unify_dictionaries().combine_chunks()
        return coded.dictionary.to_pylist(), coded.indices.fill_null(-1).to_numpy()

    def _unknown(self, video_id: object) -> str:
        matches = self._alike(video_id) if isinstance(video_id, str) else []
        meant = f"did you mean {' or '.join(map(repr, matches))}?" if matches else "ids are listed by `Cache.videos`."
        return f"no video of this cache is called {video_id!r}: {meant}"

    def _alike(self, video_id: str) -> list[str]:
        """Ids of files of the same name, else of nearly the same letters."""
        name = video_id.rpartition("/")[2]
        stem = name.partition(".")[0].encode(errors="ignore").decode()
        alike = self._ids.containing(stem) if stem else []
        same_name = [other for other in alike if other.rpartition("/")[2] == name]
        candidates = alike[:_MATCHES_TRIED] or self._ids.head(_MATCHES_TRIED)
        return same_name[:_MATCHES_NAMED] or get_close_matches(
            video_id, candidates, n=_MATCHES_NAMED, cutoff=_LEAST_LIKENESS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """Chunks of all rows, flat: row ``i`` has those from ``starts[i]`` to ``starts[i + 1]``."""

    starts: NDArray[np.int64]
    offsets: NDArray[np.uint64]
    sizes: NDArray[np.uint32]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".")
