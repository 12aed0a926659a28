"""What is shown: which videos, which frames, which item beside which frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_caches import make_cache
from vidprep.pipeline.errors import CacheError, UsageError
from vidprep.pipeline.modalities import MODALITIES
from vidprep.pipeline.preview.evenly import evenly
from vidprep.pipeline.preview.render import RENDERERS, RESIDUAL_GAIN, get_renderer, render
from vidprep.pipeline.preview.selection import View, choose_views, spread_over_classes


@pytest.mark.parametrize("step", [1, 3])
def test_a_residual_stands_beside_the_later_of_its_two_frames(tmp_path: Path, step: int) -> None:
    frames = np.zeros((10, 4, 6, 3), np.uint8)
    frames[7:] = 20  # changes at frame 7
    cache = make_cache(tmp_path / "c", {"v": frames}, step=step)
    view = View.of(cache.videos["v"])
    assert view.frames == range(step, 10)
    assert view.modalities == ("rgb", "residual")
    shown = view.pictures(cache, "residual", step, 10)[:, 0, 0, 0]
    changed = [frame for frame, value in zip(view.frames, shown, strict=True) if value]
    assert changed == list(range(7, min(10, 7 + step)))
    assert np.array_equal(view.pictures(cache, "rgb", 6, 8), frames[6:8])


def test_residuals_are_brightened_by_the_stated_gain_without_wrapping_around() -> None:
    stored = np.array([0, 1, 20, 85, 86, 255], np.uint8).reshape(1, 1, 6, 1).repeat(3, axis=3)
    assert render("residual", stored)[0, 0, :, 0].tolist() == [0, 3, 60, 255, 255, 255]
    assert f"{RESIDUAL_GAIN}\N{MULTIPLICATION SIGN}" in get_renderer("residual").caption


def test_quantised_datasets_are_rendered_in_physical_units(tmp_path: Path) -> None:
    frames = np.full((5, 4, 4, 3), 40, np.uint8)
    cache = make_cache(
        tmp_path / "c", {"v": frames}, modalities=["rgb"], dataset_options={"scale_factor": 0.5, "add_offset": 3.0}
    )
    assert View.of(cache.videos["v"]).pictures(cache, "rgb", 0, 5).tolist() == np.full((5, 4, 4, 3), 23).tolist()


def test_every_modality_that_can_be_extracted_can_be_seen() -> None:
    assert set(MODALITIES) <= set(RENDERERS)
    with pytest.raises(UsageError, match=r"'heat' cannot be pictured.*rgb, flow, .*residual"):
        render("heat", np.zeros((1, 2, 2, 3), np.uint8))


@given(st.integers(0, 300), st.integers(1, 40))
def test_evenly_chosen_items_are_distinct_ordered_and_spread(length: int, number: int) -> None:
    chosen = evenly(range(length), number)
    assert len(chosen) == min(length, number)
    gaps = np.diff([-1, *chosen, length])
    assert np.all(gaps > 0)
    if length > number:
        assert gaps.max() <= 2 * length / number + 1


@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(1, 12))
def test_classes_get_equal_shares(labels: list[str], limit: int) -> None:
    ids = {f"v{i}": label for i, label in enumerate(labels)}
    chosen = spread_over_classes(ids, limit)
    assert chosen == [id_ for id_ in ids if id_ in set(chosen)]
    there, shares = Counter(labels), Counter(ids[id_] for id_ in chosen)
    assert len(shares) == min(limit, len(there))
    assert len(chosen) <= limit
    if limit >= len(there):
        assert len(chosen) == min(limit, len(labels))
        assert all(shares[label] >= min(there[label], max(shares.values()) - 1) for label in there)


def test_unknown_videos_and_empty_caches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Archery/a"):
        choose_views(make_cache(tmp_path / "c", ["Archery/a"]), "Archery/b", limit=4)
    with pytest.raises(CacheError, match=r"holds no videos, and 1 failed .*failures.csv"):
        choose_views(make_cache(tmp_path / "e", [], failures={"x.mp4": "broken"}), None, limit=4)


@pytest.mark.parametrize(
    ("source", "stored", "shown"),
    [
        ((272, 640), (128, 170), (128, 301)),
        ((240, 320), (128, 170), (128, 170)),  # within rounding: pixel by pixel
        ((568, 320), (128, 170), (128, 72)),
        ((0, 0), (128, 170), (128, 170)),
        ((10, 16384), (8, 8), (8, 64)),
        ((16384, 1), (8, 8), (8, 1)),
    ],
)
def test_pictures_have_the_shape_of_their_source(
    tmp_path: Path, source: tuple[int, int], stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    cache = make_cache(tmp_path / "c", {"v": np.zeros((3, *stored, 3), np.uint8)})
    video = replace(cache.videos["v"], source_height=source[0], source_width=source[1])
    assert View.of(video).shown_size == shown
