"""The text form of a video's part in its data set's splits.

Kinetics has one split; UCF101 and HMDB51 have three, and a video trains in one and tests in another. Both fit in a
string::

    ""                          no split is known
    "train"                     the data set has one split
    "1:train;2:test;3:train"    it has several; the video is unused in those that are not named

``train``, ``val`` and ``test`` are the usual parts; other names are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_NAME = re.compile(r"[^\s:;\x00-\x1f\x7f]+(?: [^\s:;\x00-\x1f\x7f]+)*")
_PARTS = {"training": "train", "validate": "val", "validation": "val", "valid": "val", "testing": "test"}


def canonical_part(name: str) -> str:
    """Give the usual name of a part: ``Validation`` and ``validate`` are ``val``; an unusual name stays as it is."""
    lower = name.lower()
    return _PARTS.get(lower, lower if lower in ("train", "val", "test") else name)


def parse_splits(text: str) -> dict[str, str]:
    """Read a split's text form.

    Returns
    -------
    dict
        Split to part, in the canonical order: ``{"1": "train", "2": "test"}``. A data set's only split is ``""``:
        ``{"": "train"}``. Empty if no split is known.

    Raises
    ------
    ValueError
        The text is neither a part nor ``split:part`` joined by semicolons, or names a split twice.
    """
    return dict(_parse(text))


@lru_cache(maxsize=4096)  # a data set has few different texts and very many videos
def _parse(text: str) -> tuple[tuple[str, str], ...]:
    text = text.strip(" ")
    if not text:
        return ()
    splits: dict[str, str] = {}
    for item in text.split(";"):
        split, colon, part = (word.strip(" ") for word in item.rpartition(":"))
        named = bool(colon)
        if not _NAME.fullmatch(part) or (named and not _NAME.fullmatch(split)) or (not named and ";" in text):
            raise ValueError(
                f"{text!r} is no split; it is a part like 'train', or like '1:train;2:test' with several splits"
            )
        if split in splits:
            raise ValueError(f"{text!r} names the split {split!r} twice; name each split once")
        splits[split] = canonical_part(part)
    return tuple(sorted(splits.items(), key=_order))


def format_splits(splits: Mapping[str, str]) -> str:
    """Write the canonical text form, the inverse of ``parse_splits``: numbered splits in order, then others by name.

    Parameters
    ----------
    splits
        Split to part; an empty part (the video is unused in that split) is left out.
    """
    used = {split: part for split, part in splits.items() if part}
    if set(used) == {""}:
        text = used[""]
    else:
        text = ";".join(f"{split}:{part}" for split, part in sorted(used.items(), key=_order))
    assert parse_splits(text) == used, f"{dict(splits)} has no text form"
    return text


def _order(item: tuple[str, str]) -> tuple[bool, int, str]:
    split = item[0]
    is_number = split.isascii() and split.isdigit()
    return not is_number, int(split) if is_number else 0, split
