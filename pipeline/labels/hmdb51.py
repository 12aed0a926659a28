"""The official splits of HMDB51 (the folder ``testTrainMulti_7030_splits``).

``brush_hair_test_split1.txt`` and so on: for each class and each of three splits, lines ``video.avi 1``. The number
says what the video is in this split: 1 train, 2 test, 0 unused.

Kuehne, Jhuang, Garrote, Poggio, Serre: HMDB: A Large Video Database for Human Motion Recognition, ICCV 2011.
"""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from .reading import read_lines
from .rows import Annotations, Row

_LIST = re.compile(r"(.+)_test_split(\d+)\.txt")
_PARTS = {"0": "", "1": "train", "2": "test"}


def read_hmdb51(folder: str) -> Annotations:
    """Read the splits. They are named ``1``, ``2``, ``3``; a video's path is ``CLASS/video.avi``; classes are sorted.

    A video that no split uses keeps its label and has no split.

    Raises
    ------
    UsageError
        A file is absent or malformed.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {folder!r} ({error.strerror}); "
            "hmdb51:DIR needs the folder of brush_hair_test_split1.txt"
        ) from error
    lists = [(name, found[1], found[2]) for name in names if (found := _LIST.fullmatch(name))]
    if not lists:
        raise UsageError(
            f"{folder!r} is not the annotation folder of HMDB51: it has no file CLASS_test_split1.txt; "
            "name the folder testTrainMulti_7030_splits"
        )
    classes = sorted({label for _, label, _ in lists})
    splits = sorted({split for _, _, split in lists}, key=int)
    present = {name for name, _, _ in lists}
    for label in classes:
        for split in splits:
            if f"{label}_test_split{split}.txt" not in present:
                raise UsageError(
                    f"{folder!r} lacks {f'{label}_test_split{split}.txt'!r}; each class has a file for each split"
                )
    rows = [row for name, label, split in lists for row in _read_list(os.path.join(folder, name), label, split)]
    if not rows:
        raise UsageError(f"the lists in {folder!r} are empty; fetch the annotation of HMDB51 again")
    return Annotations(rows=tuple(rows), classes=tuple(classes))


def _read_list(path: str, label: str, split: str) -> list[Row]:
    rows = []
    for where, line in read_lines(path):
        # Names have brackets, quotes and '#' in them; the number is the last word.
        words = line.strip().rsplit(maxsplit=1)
        if len(words) != 2 or words[1] not in _PARTS:
            raise UsageError(f"{where} is {line.strip()!r}; a line is a video and 0 (unused), 1 (train) or 2 (test)")
        rows.append(Row(f"{label}/{words[0]}", label, ((split, _PARTS[words[1]]),), where))
    return rows
