"""The text form of splits: reading and writing are inverse, and what is no split is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidprep.pipeline.labels import canonical_part, format_splits, parse_splits

_NAMES = st.text(st.characters(categories=["L", "N"], include_characters="-_.#"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("", {}),
        ("train", {"": "train"}),
        ("validate", {"": "val"}),
        ("1:train;2:test;3:train", {"1": "train", "2": "test", "3": "train"}),
        (" 2:Test ; 1:training ", {"1": "train", "2": "test"}),
        ("fold a:my part", {"fold a": "my part"}),
    ],
)
def test_parse_reads_one_split_and_several(text, splits):
    assert parse_splits(text) == splits


@pytest.mark.parametrize(
    "text", ["1:", ":train", "1:train;2", "train;test", "1:train;1:test", ";", "a\nb", "1:a\tb", "::"]
)
def test_what_is_no_split_is_refused_and_quoted(text):
    with pytest.raises(ValueError, match="split") as caught:
        parse_splits(text)
    assert repr(text.strip(" ")) in str(caught.value)


def test_order_is_by_number_then_by_name():
    assert format_splits({"b": "test", "10": "train", "9": "test", "a": "val"}) == "9:test;10:train;a:val;b:test"


def test_unused_splits_are_left_out():
    assert format_splits({"1": "", "2": "test", "3": ""}) == "2:test"
    assert format_splits({"": ""}) == ""


@given(
    st.dictionaries(_NAMES, _NAMES.map(canonical_part), max_size=5)
    | st.builds(lambda part: {"": canonical_part(part)}, _NAMES)
)
def test_format_and_parse_are_inverse(splits):
    text = format_splits(splits)
    assert parse_splits(text) == splits
    assert format_splits(parse_splits(text)) == text


def test_the_caller_may_change_what_parse_returns():
    parse_splits("1:train")["1"] = "spoiled"
    assert parse_splits("1:train") == {"1": "train"}
