"""What a cache is made of: file names, the header ``cache.json`` and the numbers fixed by the format."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CacheError
from .atomic import leftovers, write_atomic
from .checksum import xxh64

FORMAT_VERSION = 1

# Frames per chunk. Small chunks waste little around a random 16-frame clip, large ones compress a little better and
# keep the index small; benchmarks/chunking.py measures it.
DEFAULT_CHUNK_FRAMES = 8

HEADER_NAME = "cache.json"
SHARDS_NAME = "shards"
INDEX_NAME = "index.parquet"
PLAN_NAME = "plan.parquet"
FAILURES_NAME = "failures.csv"
LOCK_NAME = ".lock"
TOP_NAMES = (HEADER_NAME, PLAN_NAME, INDEX_NAME, FAILURES_NAME)

_SHARD_FILE = re.compile(r"shard-(\d{5,})\.(h5|parquet)")


class CacheVersionError(CacheError):
    """The cache is of a format version that this program does not read."""


class UnreadableError(CacheError):
    """A file is there and cannot be read (permissions, a failing disk): nobody knows whether it is damaged."""


def shard_path(cache: Path, shard: int) -> Path:
    """HDF5 file of shard number ``shard``."""
    return cache / SHARDS_NAME / f"shard-{shard:05d}.h5"


def sidecar_path(cache: Path, shard: int) -> Path:
    """Parquet sidecar of shard number ``shard``; the shard is finished when this exists."""
    return cache / SHARDS_NAME / f"shard-{shard:05d}.parquet"


def shard_number(path: Path) -> int:
    """Number of the shard that a shard's or sidecar's file name carries.

    Raises
    ------
    ValueError
        The name is not one of the format.
    """
    match = _SHARD_FILE.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not the name of a shard (shard-00000.h5)")
    return int(match[1])


def shard_files(cache: Path, suffix: str) -> dict[int, Path]:
    """Finished files below ``shards/`` with this suffix (``.h5`` or ``.parquet``), by shard number, in order."""
    folder = cache / SHARDS_NAME
    if not folder.is_dir():
        return {}
    named = (path for path in folder.iterdir() if path.suffix == suffix and _SHARD_FILE.fullmatch(path.name))
    return dict(sorted((shard_number(path), path) for path in named))


def is_shard_name(name: str) -> bool:
    """Whether a file in ``shards/`` with this name is one of the format's."""
    return _SHARD_FILE.fullmatch(name) is not None


def unfinished_files(cache: Path) -> list[Path]:
    """Temporary files that runs left which were killed, of names of the format alone."""
    top = leftovers(cache, lambda name: name in TOP_NAMES)
    return [*top, *leftovers(cache / SHARDS_NAME, is_shard_name)]


def mending(path: Path) -> str:
    """The command that mends a cache, for the message about ``path``, one of its files."""
    return f"`vidprep verify {path.parent.parent if path.parent.name == SHARDS_NAME else path.parent} --repair`"


def version_error(path: Path, version: object) -> CacheVersionError:
    """The error for a file of another format version."""
    return CacheVersionError(
        f"{path} is of cache format {version}, and this program reads format {FORMAT_VERSION}: use the vidprep that "
        "made it, or extract again"
    )


def config_hash(config: Mapping[str, Any]) -> str:
    """32 hexadecimal digits (of SHA-256) that name a config, whatever the order of its keys and where its files lie."""
    return hashlib.sha256(_canonical(without_places(config)).encode()).hexdigest()[:32]


def without_places(config: Any) -> Any:
    """Return a config without its keys ``file``: where a file lies; what it holds is under other keys."""
    if not isinstance(config, Mapping):
        return config
    return {key: without_places(value) for key, value in config.items() if key != "file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHeader:
    """What ``cache.json`` says.

    Parameters
    ----------
    config
        The full extraction config, as nested JSON. Its hash decides whether a run may be resumed.
    tools
        Versions of the programs that made the cache. Information only: no part of the hash.
    modalities
        Names of the datasets each video has.
    classes
        Class names, in the order of the class numbers.
    source
        Where the videos came from.
    num_shards
        Shards of the plan: should that be lost, this tells whether all of it can be made from the sidecars. None if
        there never was one.
    """

    config: Mapping[str, Any]
    tools: Mapping[str, str]
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    source: str
    num_shards: int | None = None

    @property
    def format_version(self) -> int:
        return FORMAT_VERSION  # no other is read

    @property
    def config_hash(self) -> str:
        return config_hash(self.config)

    def encode(self) -> bytes:
        """The bytes of ``cache.json``: the same header always gives the same bytes."""
        content = self._content()
        content["checksum"] = _checksum(content)
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()

    def write(self, cache: Path) -> None:
        """Write ``cache.json`` atomically.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        write_atomic(cache / HEADER_NAME, self.encode())

    @classmethod
    def read(cls, cache: Path) -> CacheHeader:
        """Read ``cache.json``.

        Raises
        ------
        CacheError
            The folder is no cache, its format is unknown to this program, or the file is damaged.
        """
        path = cache / HEADER_NAME
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if (cache / PLAN_NAME).is_file():
                raise CacheError(f"{cache} has lost its {HEADER_NAME}, so run {mending(path)}") from None
            raise CacheError(
                f"{cache} is not a cache: it has no {HEADER_NAME}; make one with `vidprep extract`"
            ) from None
        except OSError as error:
            raise UnreadableError(f"{path} cannot be read ({error.strerror}), so check its permissions") from None
        return cls._decode(data, path)

    @classmethod
    def _decode(cls, data: bytes, path: Path) -> CacheHeader:
        damaged = f"{path} is damaged ({{}}), so run {mending(path)}"
        try:
            content = json.loads(data)
        except ValueError:
            raise CacheError(damaged.format("it is not JSON")) from None
        if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
            raise CacheError(damaged.format("it names no format version"))
        if content["format_version"] != FORMAT_VERSION:
            raise version_error(path, content["format_version"])
        if content.pop("checksum", None) != _checksum(content):
            raise CacheError(damaged.format("its checksum does not match"))
        try:
            return cls(
                config=content["config"],
                tools=content["tools"],
                modalities=tuple(content["modalities"]),
                classes=tuple(content["classes"]),
                source=content["source"],
                num_shards=content["num_shards"],
            )
        except (KeyError, TypeError) as error:
            raise CacheError(damaged.format(f"no valid {error}")) from None

    def _content(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "config_hash": self.config_hash,
            "config": json.loads(_canonical(self.config)),  # in one order, wherever it came from
            "modalities": list(self.modalities),
            "classes": list(self.classes),
            "source": self.source,
            "num_shards": self.num_shards,
            "tools": dict(self.tools),
        }


def _checksum(content: Mapping[str, Any]) -> str:
    return f"{xxh64(_canonical(content).encode()):016x}"


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
