"""Videos of a cache copied to another codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_caches import make_cache
from vidprep.pipeline.cache import CODECS
from vidprep.pipeline.cache.recode import recode


@pytest.mark.parametrize("codec", CODECS)
def test_same_frames_and_descriptions(tmp_path: Path, codec: str) -> None:
    cache = make_cache(tmp_path / "cache", ["a/x.avi", "b/y.avi", "b/z.avi"])
    copy = recode(cache, ["b/z.avi", "a/x.avi"], "residual", tmp_path / "copy", codec)
    assert list(copy.videos) == ["b/z.avi", "a/x.avi"]
    assert copy.classes == cache.classes
    for video, copied in copy.videos.items():
        np.testing.assert_array_equal(copy.read(video, "residual"), cache.read(video, "residual"))
        original = cache.videos[video]
        assert (copied.label, copied.fps, copied.decoder) == (original.label, original.fps, original.decoder)
        assert copied.modalities["residual"].codec == codec
        assert copied.modalities["residual"].chunk_frames == original.modalities["residual"].chunk_frames
