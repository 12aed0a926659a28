"""Batches of clips: the same pixels as whole reads, into any memory, and one sentence for each wrong argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vidprep.pipeline.cache import CODECS, Cache

Make = Callable[..., Any]


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_the_frames_of_each_clip(make_cache: Make, codec: str) -> None:
    made = make_cache(codec=codec)
    cache = Cache(made.path)
    clips = [("v_3.avi", 5), ("Archery/v_1.avi", 0), ("v_3.avi", 17)]
    batch = cache.read_batch("residual", clips, 3, (5, 7), stride=2)
    assert batch.shape == (3, 3, 5, 7, 3)
    for clip, (video, start) in zip(batch, clips, strict=True):
        np.testing.assert_array_equal(clip, made.frames[video, "residual"][start : start + 5 : 2, 2:7, 3:10])
