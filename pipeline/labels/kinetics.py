"""The official lists of Kinetics-400, -600 and -700: ``label,youtube_id,time_start,time_end,split[,is_cc]``.

A clip's file is named after its video on YouTube and its seconds, ``<youtube_id>_000010_000020.mp4``, or after the
video alone; tools put it below folders of classes (with spaces or underscores) and splits in many ways, and change its
container. The list gives no path, so the files are looked up by their names in the whole tree. Many are gone from
YouTube.

Kay et al.: The Kinetics Human Action Video Dataset, 2017.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import UsageError
from .reading import check_label, read_cells, read_text
from .rows import Row, sort_classes
from .splits import canonical_part
from .tables import find_columns, row_splits

_NAMES = ("label", "youtube_id", "time_start", "time_end", "split")
_COLUMNS: dict[str, tuple[str, ...]] = {name: (name,) for name in _NAMES}
_SECONDS = re.compile(r"(\d{1,6})(?:\.0*)?", re.ASCII)


class KineticsClip(NamedTuple):
    """One row of a list."""

    youtube_id: str
    start: int  # seconds
    end: int
    label: str  # "" in the test list of Kinetics-400, which has none
    split: str  # as written: "validate" or "val"
    where: str

    @property
    def name(self) -> str:
        """The usual name of its file, without the suffix."""
        return f"{self.youtube_id}_{self.start:06d}_{self.end:06d}"


def is_kinetics(path: str) -> bool:
    """Whether a CSV's header is that of a Kinetics list."""
    first = read_text(path).lstrip().partition("\n")[0].lower()
    return "youtube_id" in [cell.strip(' "\r') for cell in first.split(",")]


def read_kinetics(path: str) -> tuple[list[KineticsClip], tuple[str, ...]]:
    """Read a list.

    Returns
    -------
    clips
        In the order of the file.
    classes
        Of all clips, found or not, so that class indices do not depend on what is gone from YouTube; sorted.

    Raises
    ------
    UsageError
        The file cannot be read, lacks a column or has no row, or a row is malformed (named by file and line).
    """
    lines = read_cells(path)
    header = lines[0][1]
    columns = find_columns(header, _COLUMNS)
    if absent := [name for name in ("youtube_id", "time_start", "time_end") if name not in columns]:
        raise UsageError(
            f"the list {path!r} has no column {absent[0]}; "
            "the header of a Kinetics list is label,youtube_id,time_start,time_end,split"
        )
    if len(lines) == 1:
        raise UsageError(f"the list {path!r} has a header and no row; it names one clip a line")
    clips = []
    for where, cells in lines[1:]:
        if len(cells) != len(header):
            raise UsageError(
                f"{where} has {len(cells)} columns and the header {len(header)}; put quotes around cells with commas"
            )
        values = {column: cells[position] for column, position in columns.items()}
        start, end = (_SECONDS.fullmatch(values[column]) for column in ("time_start", "time_end"))
        if not values["youtube_id"] or not start or not end:
            raise UsageError(f"{where} is {','.join(cells)!r}; a clip has a youtube_id, and times in whole seconds")
        label, split = check_label(values.get("label", ""), where), values.get("split", "")
        row_splits(split, where)
        clips.append(KineticsClip(values["youtube_id"], int(start[1]), int(end[1]), label, split, where))
    return clips, sort_classes(clip.label for clip in clips)


def locate(clips: Iterable[KineticsClip], names: Iterable[str]) -> tuple[list[Row], list[str], list[str]]:
    """Find the clips' files among those of a tree.

    A file named after the clip goes before one named after the whole video. Of several such files, the one whose
    folders are most like the clip's label and split is taken, and of equal ones the first in order.

    Parameters
    ----------
    clips
        The rows of a list.
    names
        Paths of all videos of the tree, relative, with ``/``.

    Returns
    -------
    rows
        Those found, in order.
    missing
        The names of those not found.
    ambiguous
        The files taken although another has the same name.
    """
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(os.path.splitext(name.rpartition("/")[2])[0], []).append(name)
    rows, missing, ambiguous = [], [], []
    for clip in clips:
        found = by_stem.get(clip.name) or by_stem.get(clip.youtube_id)
        if not found:
            missing.append(clip.name)
            continue
        best = found[0]
        if len(found) > 1:
            best = min(found, key=lambda name: (-_likeness(clip, name), name))
            ambiguous.append(best)
        rows.append(Row(best, clip.label, row_splits(clip.split, clip.where), clip.where))
    return rows, missing, ambiguous


def _likeness(clip: KineticsClip, name: str) -> int:
    folders = {folder.replace("_", " ") for folder in name.split("/")[:-1]}
    splits = {clip.split, canonical_part(clip.split)} - {""}
    return (clip.label.replace("_", " ") in folders) + bool(splits & folders)
