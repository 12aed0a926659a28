"""``cache.json``: what it refuses, and that every byte of it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidprep.pipeline.cache import CacheHeader, config_hash
from vidprep.pipeline.errors import CacheError

HEADER = CacheHeader(
    config={"size": [128, 170], "modalities": {"residual": {"step": 1}}},
    tools={"vidprep": "0.1.0"},
    modalities=("residual",),
    classes=("Archery", "Böwling"),
    source="/videos",
    num_shards=7,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    HEADER.write(tmp_path)
    assert CacheHeader.read(tmp_path) == HEADER
    assert [path.name for path in tmp_path.iterdir()] == ["cache.json"]


def test_the_hash_is_of_the_config_alone() -> None:
    assert HEADER.config_hash == config_hash({"modalities": {"residual": {"step": 1}}, "size": [128, 170]})
    assert HEADER.config_hash != config_hash({"modalities": {"residual": {"step": 2}}, "size": [128, 170]})
    assert len(HEADER.config_hash) == 32


def test_a_folder_without_header_is_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"is not a cache: it has no cache.json; make one with `vidprep extract`"):
        CacheHeader.read(tmp_path)
    with pytest.raises(CacheError, match="is not a cache"):
        CacheHeader.read(tmp_path / "absent")


def test_an_unknown_version_is_named_with_the_one_that_is_read(tmp_path: Path) -> None:
    content = json.loads(HEADER.encode())
    content["format_version"] = 99
    (tmp_path / "cache.json").write_text(json.dumps(content))
    with pytest.raises(CacheError, match="is of cache format 99, and this program reads format 1"):
        CacheHeader.read(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"format_version": "1"}', b'{"format_version": 1}']
)
def test_damaged_json_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(data)
    with pytest.raises(CacheError, match=r"cache.json is damaged \(.*\), so run `vidprep verify .*/\S+ --repair`"):
        CacheHeader.read(tmp_path)


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_bytes(HEADER.encode().replace(b"170", b"171"))
    with pytest.raises(CacheError, match="its checksum does not match"):
        CacheHeader.read(tmp_path)
