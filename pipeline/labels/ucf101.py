"""The official train/test lists of UCF101 (the folder ``ucfTrainTestlist``).

``classInd.txt``
    ``1 ApplyEyeMakeup``: index, class.
``trainlist01.txt``, ``trainlist02.txt``, ``trainlist03.txt``
    ``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1``: path, index.
``testlist01.txt``, ``testlist02.txt``, ``testlist03.txt``
    ``ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi``: path.

Soomro, Zamir, Shah: UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, 2012.
"""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from .reading import read_lines
from .rows import Annotations, Row

_LIST = re.compile(r"(train|test)list0*(\d+)\.txt")


def read_ucf101(folder: str) -> Annotations:
    """Read the lists. A video's splits are named ``1``, ``2``, ``3``; classes are in the order of ``classInd.txt``.

    Raises
    ------
    UsageError
        A file is absent or malformed, or a line's index is not that of the class in its path.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {folder!r} ({error.strerror}); "
            "ucf101:DIR needs the folder of classInd.txt and trainlist01.txt"
        ) from error
    lists = [(name, found[1], found[2]) for name in names if (found := _LIST.fullmatch(name))]
    parts: dict[str, set[str]] = {}
    for _, part, split in lists:
        parts.setdefault(split, set()).add(part)
    if "classInd.txt" not in names or not lists:
        raise UsageError(
            f"{folder!r} is not the annotation folder of UCF101: it lacks "
            f"{'trainlist01.txt' if not lists else 'classInd.txt'}; name the folder ucfTrainTestlist"
        )
    for split, found_parts in parts.items():
        for part in {"train", "test"} - found_parts:
            raise UsageError(
                f"{folder!r} lacks {part}list{int(split):02d}.txt; each split of UCF101 is a train and a test list"
            )
    indices = _read_classes(os.path.join(folder, "classInd.txt"))
    rows = [row for name, part, split in lists for row in _read_list(os.path.join(folder, name), part, split, indices)]
    if not rows:
        raise UsageError(f"the lists in {folder!r} are empty; fetch the annotation of UCF101 again")
    return Annotations(rows=tuple(rows), classes=tuple(sorted(indices, key=indices.__getitem__)))


def _read_classes(path: str) -> dict[str, int]:
    indices: dict[str, int] = {}
    for where, line in read_lines(path):
        words = line.split()
        if len(words) != 2 or not (words[0].isascii() and words[0].isdigit()):
            raise UsageError(f"{where} is {line.strip()!r}; a line is an index and a class, like '1 ApplyEyeMakeup'")
        index, label = int(words[0]), words[1]
        if label in indices or index in indices.values():
            raise UsageError(
                f"{where} repeats the index or the class of another line: {line.strip()!r}; each stands once"
            )
        indices[label] = index
    return indices


def _read_list(path: str, part: str, split: str, indices: dict[str, int]) -> list[Row]:
    rows = []
    for where, line in read_lines(path):
        words = line.split()
        label, slash, video = words[0].partition("/")
        if len(words) > 2 or not slash or not video or (part == "train" and len(words) != 2):
            form = "Class/video.avi and the class's index" if part == "train" else "Class/video.avi"
            raise UsageError(f"{where} is {line.strip()!r}; a line of this list is {form}")
        if label not in indices:
            raise UsageError(f"{where} has the class {label!r}, which is not in classInd.txt; correct one of the two")
        if len(words) == 2 and words[1] != str(indices[label]):
            raise UsageError(
                f"{where} has the index {words[1]!r}, but {label} has {indices[label]} in classInd.txt; correct one"
            )
        rows.append(Row(words[0], label, ((split, part),), where))
    return rows
