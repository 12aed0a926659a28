"""What every annotation format is read into: rows that name a video, its label and its part in the splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Row(NamedTuple):
    """One line about one video. A video of UCF101 or HMDB51 has one line for each split."""

    path: str  # as the list gives it: relative, or absolute
    label: str  # "" if there is none
    splits: tuple[tuple[str, str], ...]  # (split, part); split "" is a data set's only one, part "" is unused
    where: str  # "trainlist01.txt:12", for messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """Everything that a list or an annotation set says.

    Parameters
    ----------
    rows
        In the order of the files.
    classes
        In the order that the set defines, else sorted.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]


def sort_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort the different labels by code point, or by value if all are numbers, so that class 10 comes after class 9.

    The empty label, of a video without one, is no class.
    """
    classes = {label for label in labels if label}
    if all(label.isascii() and label.isdigit() for label in classes):
        return tuple(sorted(classes, key=lambda label: (int(label), label)))
    return tuple(sorted(classes))
