"""A cache added up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_caches import make_cache
from media import moving_texture
from vidprep.pipeline.summary import summarise


def test_totals(tmp_path: Path) -> None:
    videos = {f"Archery/{name}": moving_texture(12, (24, 32)) for name in "abc"} | {
        "d": np.zeros((5, 8, 6, 3), np.uint8)
    }
    cache = make_cache(tmp_path / "c", videos, failures={"Bowling/x": "cut short"})
    summary = summarise(cache)
    assert (summary.videos, summary.shards, summary.source_frames, summary.failures) == (4, 1, 41, 1)
    assert (summary.classes, summary.labelled, summary.decoders) == (2, 3, {"pyav": 4})
    residual, rgb = summary.modalities
    assert (residual.name, residual.frames, rgb.frames) == ("residual", 37, 41)
    assert rgb.raw_bytes == 3 * 12 * 24 * 32 * 3 + 5 * 8 * 6 * 3
    assert (rgb.sizes, rgb.dtype, rgb.codec) == (("32x24", "6x8"), "uint8", "lz4")
    stored = [
        sum(video.modalities[name].stored_bytes for video in cache.videos.values()) for name in ("residual", "rgb")
    ]
    assert [residual.stored_bytes, rgb.stored_bytes] == stored
    assert summary.stored_bytes == sum(stored)
    assert rgb.ratio == pytest.approx(rgb.raw_bytes / stored[1])
    assert summary.ratio == pytest.approx((residual.raw_bytes + rgb.raw_bytes) / sum(stored))


def test_an_empty_cache(tmp_path: Path) -> None:
    summary = summarise(make_cache(tmp_path / "c", []))
    assert (summary.videos, summary.modalities, summary.ratio) == (0, (), 0)
