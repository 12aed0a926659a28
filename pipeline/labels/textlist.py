"""Text lists: one video a line, and perhaps its label."""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from ..folders import VIDEO_SUFFIXES, FileLookup
from .reading import check_label, read_lines
from .rows import Annotations, Row, sort_classes
from .tables import row_splits

_GAP = re.compile(" +")


def read_text_list(path: str, files: FileLookup) -> Annotations:
    """Read a text list.

    A line is ``path``, ``path label``, or ``path<TAB>label[<TAB>split]``. Blank lines, and lines that begin with ``#``,
    are skipped (write ``./#1.mp4`` for a file of such a name). Without a tab, spaces may belong to the path, to the
    label, or part them. What exists decides: the path is the longest beginning of the line, up to a space or the line's
    end, that is a file. If none is, the path ends at the first word with a video's suffix, else at the line's end.

    Parameters
    ----------
    path
        The list. Paths in it are relative to its folder, or absolute.
    files
        Who knows which files exist.

    Raises
    ------
    UsageError
        The file cannot be read, names no video, or has a malformed line (named by file and line).
    """
    folder = os.path.dirname(os.path.abspath(path))
    rows = []
    for where, line in read_lines(path):
        if line.startswith("#"):
            continue
        if "\t" in line:
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) > 3 or not cells[0]:
                raise UsageError(f"{where} is not path<TAB>label<TAB>split; it is {line!r}")
            video, label, split = cells + [""] * (3 - len(cells))
        else:
            video, label = _part_at_space(line.strip(" "), folder, files)
            split = ""
        rows.append(Row(video, check_label(label, where), row_splits(split, where), where))
    if not rows:
        raise UsageError(f"the list {path!r} is empty; it names one video a line")
    return Annotations(rows=tuple(rows), classes=sort_classes(row.label for row in rows))


def _part_at_space(line: str, folder: str, files: FileLookup) -> tuple[str, str]:
    """Part a line into path and label at the last gap that leaves a file before it."""
    gaps = [(gap.start(), gap.end()) for gap in _GAP.finditer(line)]
    for end, start in [(len(line), len(line)), *reversed(gaps)]:
        if files.is_file(os.path.abspath(os.path.join(folder, line[:end]))):
            return line[:end], line[start:]
    for end, start in gaps:
        if os.path.splitext(line[:end])[1].lower() in VIDEO_SUFFIXES:
            return line[:end], line[start:]
    return line, ""
