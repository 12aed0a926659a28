"""Text: every printable character has a glyph of its own, drawn where it should be."""

from __future__ import annotations

import string

import numpy as np
import pytest

from vidprep.pipeline.preview.lettering import baseline, drawable, shorten, text_mask, text_width

PRINTABLE = string.ascii_letters + string.digits + string.punctuation


def test_every_printable_character_looks_different() -> None:
    drawn = {char: text_mask(char, 28).tobytes() + bytes([text_mask(char, 28).shape[1]]) for char in PRINTABLE}
    assert len(set(drawn.values())) == len(PRINTABLE)


@pytest.mark.parametrize("size", [9.5, 28.0])
def test_capitals_stand_on_the_baseline_and_have_the_height_asked_for(size: float) -> None:
    rows = np.flatnonzero(text_mask("HEX", size).max(axis=1) > 0.5)
    pen = 1.5 * size / 14
    assert abs(rows[-1] + 1 - (baseline(size) + pen / 2)) <= 1
    assert abs(len(rows) - (size + pen)) <= 1.5


def test_coverage_is_antialiased_and_bounded() -> None:
    mask = text_mask("Odd gaps, 3x5?", 12)
    assert mask.min() == 0
    assert mask.max() <= 1
    assert np.any((mask > 0.1) & (mask < 0.9))


def test_only_descenders_go_below_the_baseline() -> None:
    below = slice(baseline(28) + 4, None)
    assert text_mask("gjpqy", 28)[below].any()
    assert not text_mask("abcdeHKX0189", 28)[below].any()


def test_accents_are_dropped_and_unknown_characters_are_boxes() -> None:
    assert drawable("café") == "cafe"
    assert text_mask("日", 14).any()
    assert np.array_equal(text_mask("日", 14), text_mask("本", 14))


def test_width_is_what_is_drawn() -> None:
    columns = np.flatnonzero(text_mask("MATH", 28).max(axis=0) > 0.5)
    assert abs(columns[-1] - columns[0] - text_width("MATH", 28)) < 5
    assert text_width("", 28) == 0


def test_long_text_keeps_its_ends() -> None:
    short = shorten("Archery/v_Archery_g01_c01.avi", 10, 100)
    assert text_width(short, 10) <= 100
    assert short.startswith("Arch")
    assert short.endswith("avi")
    assert shorten("short", 10, 100) == "short"
