"""Ids: relative printable paths, none a folder of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.video_ids import check_id, ids_used_as_folders, is_id


@pytest.mark.parametrize(
    "id", ["a.mp4", "Archery/v_1.avi", "a.b.mp4", "...", "..a/b..", "a\\b.mp4", "é/#1 (x)!.avi", "a b"]
)
def test_plain_relative_paths_are_ids(id):
    check_id(id)
    assert is_id(id)


@pytest.mark.parametrize(
    ("id", "problem"),
    [
        ("", "is empty"),
        ("/a.mp4", "absolute"),
        ("..", "'..'"),
        ("../a.mp4", "'..'"),
        ("a/../b.mp4", "'..'"),
        ("a/..", "'..'"),
        (".", "'.'"),
        ("./a.mp4", "'.'"),
        ("a/./b", "'.'"),
        ("a//b", "component that is empty"),
        ("a/", "component that is empty"),
        ("a\0.mp4", "control character"),
        ("a\n.mp4", "line break"),
        ("a\x7f", "control character"),
        ("a\u2028b", "line break"),
        ("a\udcff.mp4", "not UTF-8"),
    ],
)
def test_other_ids_are_refused_with_the_reason(id, problem):
    assert not is_id(id)
    with pytest.raises(UsageError) as caught:
        check_id(id)
    assert problem in str(caught.value)
    str(caught.value).encode()  # the message itself can be printed
    assert "\n" not in str(caught.value)


@given(st.lists(st.text("ab/.\n", max_size=6)))
def test_accepted_ids_stay_in_their_tree(names):
    for id in filter(is_id, names):
        parts = id.split("/")
        assert all(part not in ("", ".", "..") and "\n" not in part for part in parts)


@given(st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)))
def test_ids_used_as_folders_are_found(ids):
    expected = sorted(a for a in ids if any(b.startswith(a + "/") for b in ids))
    assert ids_used_as_folders(ids) == expected


def test_a_similar_name_is_no_folder():
    assert ids_used_as_folders(["a", "a-b/c", "a.b/c", "ab"]) == []
