"""Batches of clips: the same pixels as whole reads, into any memory, and one sentence for each wrong argument."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vidprep.pipeline.cache import CODECS, Cache, batch_reader
from vidprep.pipeline.errors import CacheError

Make = Callable[..., Any]
Pread = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)


@pytest.fixture
def set_pread(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., int]], None]:
    """Replaces libc's ``pread`` by a function of Python."""

    def replace(function: Callable[..., int]) -> None:
        callback = Pread(function)
        monkeypatch.setattr(batch_reader, "_keep", callback, raising=False)
        monkeypatch.setattr(batch_reader, "_pread", lambda: ctypes.cast(callback, ctypes.c_void_p).value)

    return replace


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_the_frames_of_each_clip(make_cache: Make, codec: str) -> None:
    made = make_cache(codec=codec)
    cache = Cache(made.path)
    clips = [("v_3.avi", 5), ("Archery/v_1.avi", 0), ("v_3.avi", 17)]
    batch = cache.read_batch("residual", clips, 3, (5, 7), stride=2)
    assert batch.shape == (3, 3, 5, 7, 3)
    for clip, (video, start) in zip(batch, clips, strict=True):
        np.testing.assert_array_equal(clip, made.frames[video, "residual"][start : start + 5 : 2, 2:7, 3:10])


def test_a_disk_that_cannot_read_is_damage(make_cache: Make, set_pread: Any) -> None:
    set_pread(lambda *_: -1)
    with pytest.raises(CacheError, match=r"chunk 0 of residual of .* cannot be read \(its bytes are not there\)"):
        Cache(make_cache().path).read("v_3.avi", "residual")


@pytest.mark.parametrize("codec", CODECS)
def test_short_and_interrupted_reads_go_on(make_cache: Make, codec: str, set_pread: Any) -> None:
    calls = []

    def stuttering(file: int, target: int, size: int, offset: int) -> int:
        calls.append(size)
        if len(calls) % 2:
            return -1  # as for a signal
        data = os.pread(file, min(size, 100), offset)
        ctypes.memmove(target, data, len(data))
        return len(data)

    set_pread(stuttering)
    made = make_cache(codec=codec)
    clip = Cache(made.path).read("v_3.avi", "residual", 2, 19)
    np.testing.assert_array_equal(clip, made.frames["v_3.avi", "residual"][2:19])
    assert len(calls) > 10
