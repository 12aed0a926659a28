"""The index and the tables: the same bytes from the same parts, and no damaged part taken in."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidprep.pipeline.cache import (
    Cache,
    CacheHeader,
    Failure,
    PlannedVideo,
    PlanTable,
    build_index,
    shard_path,
    sidecar_path,
)
from vidprep.pipeline.cache.failures import encode_failures
from vidprep.pipeline.cache.sealed import decode_table, encode_table, is_intact, table_metadata
from vidprep.pipeline.errors import CacheError

Make = Callable[..., Any]


def test_the_summary_and_the_files(make_cache: Make) -> None:
    path = make_cache().path
    summary = build_index(path)
    assert (summary.num_videos, summary.num_shards, summary.missing_shards) == (4, 2, ())
    assert summary.failures == (Failure(video="Archery/broken.avi", stage="decode", reason="it is broken"),)
    with (path / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["video", "stage", "reason"],
            ["Archery/broken.avi", "decode", "it is broken"],
        ]


def test_any_parquet_reader_reads_the_index(make_cache: Make) -> None:
    path = make_cache().path
    table = pq.read_table(path / "index.parquet")
    assert table["video"].to_pylist()[::2] == ["Archery/v_1.avi", "Archery/v_2.avi", "Bowling/v ä.mp4", "v_3.avi"]
    assert table["modality"].to_pylist() == ["residual", "flow"] * 4
    assert table["shard"].to_pylist() == [0, 0, 0, 0, 1, 1, 1, 1]
    data = shard_path(path, 1).read_bytes()
    row = table.slice(6, 1).to_pylist()[0]
    assert len(row["chunk_offsets"]) == 6
    assert max(row["chunk_offsets"]) + max(row["chunk_sizes"]) <= len(data)


def test_two_runs_give_the_same_cache(make_cache: Make) -> None:
    one, other = make_cache("one", threads=0).path, make_cache("other", threads=3).path
    names = sorted(file.relative_to(one) for file in one.rglob("*") if file.is_file())
    assert names == sorted(file.relative_to(other) for file in other.rglob("*") if file.is_file())
    assert len(names) == 8
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_missing_shard_is_told_and_the_rest_indexed(make_cache: Make) -> None:
    path = make_cache().path
    sidecar_path(path, 0).unlink()
    summary = build_index(path)
    assert (summary.num_videos, summary.missing_shards, summary.failures) == (2, (0,), ())


def test_no_shard_at_all_is_an_empty_index(make_cache: Make) -> None:
    path = make_cache().path
    sidecar_path(path, 0).unlink()
    sidecar_path(path, 1).unlink()
    assert build_index(path).num_videos == 0
    cache = Cache(path)
    assert len(cache) == 0
    assert list(cache.videos) == []
    assert "v_3.avi" not in cache.videos


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_damaged_sidecar_is_not_taken_in(make_cache: Make, cut: int) -> None:
    path = make_cache().path
    before = (path / "index.parquet").read_bytes()
    sidecar = sidecar_path(path, 1)
    sidecar.write_bytes(sidecar.read_bytes()[:cut])
    with pytest.raises(CacheError, match=r"shard-00001.parquet is damaged .* run `vidprep verify .*/cache --repair`"):
        build_index(path)
    assert (path / "index.parquet").read_bytes() == before


def test_a_shard_of_another_config_is_not_taken_in(make_cache: Make) -> None:
    path = make_cache().path
    CacheHeader(config={"size": 1}, tools={}, modalities=("residual",), classes=(), source="").write(path)
    with pytest.raises(CacheError, match=r"shard 0 in .* was made with another config"):
        build_index(path)


def test_the_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    videos = tuple(
        PlannedVideo(video=f"a/{n}", path=f"a/{n}", label=[None, "a"][n % 2], split=None, shard=n // 3, source_bytes=n)
        for n in range(7)
    )
    plan = PlanTable(config={"step": 1}, modalities=("rgb",), classes=("a", "b"), source="/videos", videos=videos)
    plan.write(tmp_path)
    assert PlanTable.read(tmp_path) == plan
    assert plan.num_shards == 3
    assert (tmp_path / "plan.parquet").read_bytes() == plan.encode()


def test_a_plan_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"plan.parquet is missing, so run `vidprep verify .* --repair`"):
        PlanTable.read(tmp_path)


def test_failures_are_sorted_and_quoted() -> None:
    failures = [Failure(video="b", stage="open", reason='a "b", c'), Failure(video="a,1", stage="decode", reason="x")]
    assert encode_failures(failures) == b'video,stage,reason\n"a,1",decode,x\nb,open,"a ""b"", c"\n'


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), note=st.text(max_size=30))
def test_the_seal_covers_every_byte(position: float, bit: int, note: str) -> None:
    table = pa.table({"name": ["a", "b"], "values": pa.array([[1, 2], [3]], pa.list_(pa.uint64()))})
    metadata = {
        "note": note,
        "like a seal": "vidprep.file.xxh64\x184xxh64 of this file with zeros here: 0123456789abcdef",
    }
    data = encode_table(table, metadata, packed=("values.list.element",))
    assert data == encode_table(table, metadata, packed=("values.list.element",))
    assert is_intact(data)
    read = decode_table(data, Path("t"))
    assert read.to_pydict() == table.to_pydict()
    assert table_metadata(read.schema, Path("t")) == metadata
    damaged = bytearray(data)
    damaged[int(position * len(data))] ^= 1 << bit
    assert not is_intact(bytes(damaged))


def test_a_strange_parquet_file_is_no_table_of_ours(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": np.arange(3)}), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    assert not is_intact(data)
    with pytest.raises(CacheError, match="is damaged"):
        decode_table(data, tmp_path / "t.parquet")
    with pytest.raises(CacheError, match="is not a table of a vidprep cache"):
        table_metadata(pq.read_schema(tmp_path / "t.parquet"), tmp_path / "t.parquet")
    assert os.listdir(tmp_path) == ["t.parquet"]
