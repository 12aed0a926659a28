"""CSV lists: ``path[,label[,split]]``, with a header or without."""

from __future__ import annotations

import os

from ..errors import UsageError
from .reading import check_label, read_cells
from .rows import Annotations, Row, sort_classes
from .splits import parse_splits

_COLUMNS = {
    "path": ("path", "video", "file", "filename", "video_path"),
    "label": ("label", "class"),
    "split": ("split", "subset"),
}


def read_table(path: str) -> Annotations:
    """Read a CSV of videos.

    With a header, columns are found by name and others are ignored: ``path`` (or ``video``, ``file``, ``filename``,
    ``video_path``), ``label`` (or ``class``), ``split`` (or ``subset``). Without one, they are path, label, split in
    this order, and the last two may be absent. Label and split may be empty; a split is written as ``parse_splits``
    reads it.

    Raises
    ------
    UsageError
        The file cannot be read, is empty, or has a malformed row (named by file and line).
    """
    lines = read_cells(path)
    columns = find_columns(lines[0][1], _COLUMNS)
    has_header = "path" in columns
    if has_header:
        width = len(lines[0][1])
        del lines[0]
        if not lines:
            raise UsageError(f"the list {path!r} has a header and no row; it names one video a line")
    else:
        columns, width = {"path": 0, "label": 1, "split": 2}, 3
    rows = []
    for where, cells in lines:
        if len(cells) > width or (has_header and len(cells) < width):
            expected = f"{width} as in the header" if has_header else "path[,label[,split]]"
            raise UsageError(
                f"{where} has {len(cells)} columns instead of {expected}; put quotes around cells with commas"
            )
        values = {column: cells[i] if i < len(cells) else "" for column, i in columns.items()}
        if not values["path"]:
            raise UsageError(f"{where} has no path; every row names a video")
        label = check_label(values.get("label", ""), where)
        rows.append(Row(values["path"], label, row_splits(values.get("split", ""), where), where))
    return Annotations(rows=tuple(rows), classes=sort_classes(row.label for row in rows))


def find_columns(header: list[str], names: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Find the columns of a header by their names, whatever their case; of two with one meaning, the first."""
    lower = [cell.lower() for cell in header]
    found = {}
    for column, aliases in names.items():
        position = min((lower.index(alias) for alias in aliases if alias in lower), default=None)
        if position is not None:
            found[column] = position
    return found


def row_splits(text: str, where: str) -> tuple[tuple[str, str], ...]:
    """Read the split of one row; a row without one is unused in the only split.

    Raises
    ------
    UsageError
        It is not the text form of a split.
    """
    try:
        return tuple(parse_splits(text).items()) or (("", ""),)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def is_table(path: str) -> bool:
    """Whether a list's name says that it is a CSV."""
    return os.path.splitext(path)[1].lower() == ".csv"
