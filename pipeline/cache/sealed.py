"""Parquet tables that carry a checksum over every one of their own bytes.

The checksum (XXH64 of the file with sixteen zeros in its place) stands in the file's own metadata: any Parquet reader
reads such a file, and a single flipped bit anywhere in it, padding and footer included, is found.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CacheError
from .atomic import write_atomic
from .checksum import xxh64
from .format import mending

_KEY = b"vidprep"
_SEAL_KEY = b"vidprep.file.xxh64"
_LABEL = b"xxh64 of this file with zeros here: "
_BLANK = b"0" * 16
# The key, Thrift's field header and length of the value, and the value: JSON beside it cannot hold the header's control
# character, and the last one in the file is in the footer.
_MARKER = _SEAL_KEY + bytes((0x18, len(_LABEL + _BLANK))) + _LABEL
ROWS_PER_GROUP = 1 << 16


def encode_table(table: pa.Table, metadata: Mapping[str, Any], *, packed: Sequence[str] = ()) -> bytes:
    """A sealed Parquet file as bytes. The same table and metadata give the same bytes.

    Parameters
    ----------
    metadata
        Anything JSON can hold; ``table_metadata`` returns it.
    packed
        Leaf columns (``name.list.element`` for a list) of slowly growing integers, stored as differences.
    """
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema.remove_metadata(),
        compression="zstd",
        compression_level=3,
        use_dictionary=strings,
        column_encoding=dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
        store_schema=False,  # its copy of the metadata would say nothing more
        write_statistics=False,
        write_page_checksum=True,  # lets a reader that skips the seal notice damage in what it reads
    ) as writer:
        writer.write_table(table.replace_schema_metadata(None), row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata({_KEY: json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()})
        writer.add_key_value_metadata({_SEAL_KEY: _LABEL + _BLANK})
    data = bytearray(sink.getvalue())
    position = _seal_position(data)
    assert position is not None
    data[position : position + 16] = f"{xxh64(data):016x}".encode()
    return bytes(data)


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, Any], *, packed: Sequence[str] = ()) -> bytes:
    """Write a sealed table atomically and return the file's bytes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    data = encode_table(table, metadata, packed=packed)
    write_atomic(path, data)
    return data


def is_intact(data: bytes) -> bool:
    """Whether a sealed file's bytes are the ones that were written."""
    position = _seal_position(data)
    if position is None:
        return False
    blank = bytearray(data)
    blank[position : position + 16] = _BLANK
    return data[position : position + 16] == f"{xxh64(blank):016x}".encode()


def looks_sealed(path: Path) -> bool:
    """Whether a file is one of these tables, be it damaged: the mark is the last thing but one that is written."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.rfind(_SEAL_KEY) >= 0
    except (OSError, ValueError):  # the latter: it is empty
        return False


def decode_table(data: bytes, path: Path) -> pa.Table:
    """The table in a sealed file's bytes, with its seal checked. ``path`` is for the message.

    Raises
    ------
    CacheError
        The bytes are damaged.
    """
    if not is_intact(data):
        raise CacheError(f"{path} is damaged (its checksum does not match), so run {mending(path)}")
    return pq.read_table(pa.BufferReader(data))


def table_metadata(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """The metadata given to ``encode_table``.

    Raises
    ------
    CacheError
        The table is not one of vidprep's.
    """
    try:
        content = json.loads((schema.metadata or {})[_KEY])
    except (KeyError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise CacheError(f"{path} is not a table of a vidprep cache, so run {mending(path)}")
    return content


def table_seal(schema: pa.Schema) -> str:
    """The checksum that a sealed file states, unchecked: files with the same one hold the same."""
    stated: bytes = (schema.metadata or {}).get(_SEAL_KEY, b"")
    return stated[len(_LABEL) :].decode(errors="replace")


def _seal_position(data: bytes | bytearray) -> int | None:
    start = data.rfind(_MARKER)
    position = start + len(_MARKER)
    return None if start < 0 or position + 16 > len(data) else position
