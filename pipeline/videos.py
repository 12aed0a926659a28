"""Finding the videos of a source, with their ids, labels and splits, and refusing what cannot become one cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError
from .folders import VIDEO_SUFFIXES, FileLookup, walk_videos
from .labels import (
    Annotations,
    Row,
    format_splits,
    is_kinetics,
    is_table,
    locate,
    parse_splits,
    read_hmdb51,
    read_kinetics,
    read_table,
    read_text_list,
    read_ucf101,
    sort_classes,
)
from .problems import Problems, counted
from .video_ids import check_id, ids_used_as_folders, is_id

__all__ = ["Video", "VideoSet", "check_id", "find_videos", "join_rows", "parse_splits"]

_READERS = {"ucf101": read_ucf101, "hmdb51": read_hmdb51}
_LABELS_FORMS = "ucf101:DIR, hmdb51:DIR, kinetics:FILE.csv or a CSV path,label[,split]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One video to be extracted.

    Parameters
    ----------
    id
        Its path below the source, as ``check_id`` wants it.
    path
        Where it is, absolute.
    label
        Its class; ``""`` without one.
    split
        Its part in the data set's splits, as ``parse_splits`` reads it: ``""``, ``"train"``, ``"1:train;2:test"``.
    """

    id: str
    path: Path
    label: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        check_id(self.id)
        parse_splits(self.split)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """The videos of a source.

    Parameters
    ----------
    videos
        At least one, sorted by id (by code point, whatever the locale); no id twice, none a folder of another.
    classes
        All classes: in the order that the annotation set defines, else sorted (as numbers if all are numbers). A class
        may have no video, where the annotation set names more than were found.
    root
        The folder that ids are relative to, absolute.
    warnings
        One sentence each about what was left out.
    """

    videos: tuple[Video, ...]
    classes: tuple[str, ...]
    root: Path
    warnings: tuple[str, ...]


def find_videos(source: str | os.PathLike[str], labels: str | None = None) -> VideoSet:
    """Find the videos of a source.

    Parameters
    ----------
    source
        One of these:

        - A folder: every file below it with a suffix in ``VIDEO_SUFFIXES``, hidden ones and those in hidden folders
          left out, links followed. The first sub-folder is the class; a file directly in the folder has none.
        - A list, ``.txt`` (``path``, ``path label``, ``path<TAB>label<TAB>split``) or ``.csv``
          (``path[,label[,split]]``, with or without a header; or a Kinetics list beside its videos). Paths are relative
          to the list's folder. If all videos are below that folder, ids are relative to it, else to the videos' common
          parent folder.
        - Any other file: that one video. Its id is its name.
    labels
        For a folder, who is in it: ``ucf101:DIR``, ``hmdb51:DIR``, ``kinetics:FILE.csv``, or a CSV
        ``path,label[,split]`` with paths relative to the source. Only what it lists is taken.

    Raises
    ------
    UsageError
        The source, the list or the annotation cannot be read, is malformed, or names no video; or files that it lists
        are missing, listed twice, labelled differently, or cannot be stored side by side (all said at once). Of a
        Kinetics list missing videos are normal, and a warning, unless all are.
    """
    name = os.fspath(source)
    if not name or "\0" in name:
        raise UsageError(f"the source {name!r} is no path; name a folder, a video, or a list of videos (.txt or .csv)")
    root = os.path.abspath(name)
    if os.path.isdir(root):
        return _from_folder(root) if labels is None else _from_annotations(root, labels)
    if not os.path.isfile(root):
        problem = "is neither a folder nor a file" if os.path.exists(root) else "does not exist"
        raise UsageError(f"the source {name!r} {problem}; name a folder, a video, or a list of videos (.txt or .csv)")
    if labels is not None:
        raise UsageError(
            f"--labels needs a folder as the source, and {name!r} is a file; write labels into a list instead"
        )
    if is_table(root) and is_kinetics(root):
        return _from_kinetics(os.path.dirname(root), root)
    if is_table(root) or root.lower().endswith(".txt"):
        return _from_list(root)
    problems = Problems()
    rows = [Row(os.path.basename(root), "", (("", ""),), "")]
    videos = join_rows(os.path.dirname(root), rows, problems)
    problems.raise_any(repr(name), "rename it")
    return VideoSet(videos=videos, classes=(), root=Path(root).parent, warnings=())


def _from_folder(root: str) -> VideoSet:
    found = walk_videos(root)
    if not found.names:
        if found.empty:
            raise UsageError(f"the folder {root!r} is empty; put videos into it, or name another")
        raise UsageError(
            f"the folder {root!r} holds no video; files are looked for that end with {' '.join(sorted(VIDEO_SUFFIXES))}"
            + "".join(f" ({warning})" for warning in found.warnings)
        )
    rows = [Row(name, name.partition("/")[0] if "/" in name else "", (("", ""),), "") for name in found.names]
    problems = Problems()
    videos = join_rows(root, rows, problems)
    problems.raise_any(f"of the {len(rows):,} videos below {root!r}", "rename or move them")
    classes = sort_classes(video.label for video in videos)
    return VideoSet(videos=videos, classes=classes, root=Path(root), warnings=found.warnings)


def _from_annotations(root: str, labels: str) -> VideoSet:
    kind, colon, place = labels.partition(":")
    if place and kind in (*_READERS, "kinetics"):
        path = os.path.abspath(os.path.expanduser(place))  # the shell expands no ~ behind a colon
        return _from_kinetics(root, path) if kind == "kinetics" else _from_listed(root, _READERS[kind](path), path)
    path = os.path.abspath(os.path.expanduser(labels))
    if is_table(path) and (not colon or os.path.isfile(path)):
        return _from_kinetics(root, path) if is_kinetics(path) else _from_listed(root, read_table(path), path)
    raise UsageError(f"--labels {labels!r} is of no known kind; it is {_LABELS_FORMS}")


def _from_listed(root: str, annotations: Annotations, source: str) -> VideoSet:
    """Join what an annotation lists with the files below ``root``."""
    problems = Problems()
    files = FileLookup()
    rows = []
    for row in annotations.rows:
        path = os.path.abspath(os.path.join(root, row.path))
        if not _is_below(path, root):
            problems.add("lies outside the source", "lie outside the source", row.path)
        else:
            rows.append(row._replace(path=_relative(path, root)))
    videos = join_rows(root, rows, problems, files)
    problems.raise_any(f"of the videos that {source!r} lists for {root!r}", "correct the list or the source")
    return VideoSet(videos=videos, classes=annotations.classes, root=Path(root), warnings=())


def _from_list(path: str) -> VideoSet:
    files = FileLookup()
    annotations = read_table(path) if is_table(path) else read_text_list(path, files)
    root = os.path.dirname(path)
    paths = [os.path.abspath(os.path.join(root, row.path)) for row in annotations.rows]
    if not all(_is_below(listed, root) for listed in paths):
        root = os.path.commonpath([os.path.dirname(listed) for listed in paths])
    rows = [row._replace(path=_relative(listed, root)) for row, listed in zip(annotations.rows, paths, strict=True)]
    problems = Problems()
    videos = join_rows(root, rows, problems, files)
    problems.raise_any(f"of the videos that {path!r} lists", "correct the list")
    return VideoSet(videos=videos, classes=annotations.classes, root=Path(root), warnings=())


def _from_kinetics(root: str, path: str) -> VideoSet:
    clips, classes = read_kinetics(path)
    found = walk_videos(root)
    rows, missing, ambiguous = locate(clips, found.names)
    if not rows:
        raise UsageError(
            f"none of the {len(clips):,} clips that {path!r} lists is below {root!r}; a clip's file is named like "
            f"{missing[0] + '.mp4'!r} or {clips[0].youtube_id + '.mp4'!r}, in any sub-folder"
        )
    problems = Problems()
    videos = join_rows(root, rows, problems)
    problems.raise_any(f"of the clips that {path!r} lists for {root!r}", "correct the list or the source")
    warnings = list(found.warnings)
    if missing:
        one, many = f"of {len(clips):,} clips has no file", f"of {len(clips):,} clips have no file"
        warnings.append(counted(missing, one, many))
    if ambiguous:
        one = "clip has several files, of which one was taken"
        warnings.append(counted(ambiguous, one, "clips have several files, of which one each was taken"))
    return VideoSet(videos=videos, classes=classes, root=Path(root), warnings=tuple(warnings))


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root if root.endswith("/") else root + "/")


def _relative(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/")


def join_rows(root: str, rows: Iterable[Row], problems: Problems, files: FileLookup | None = None) -> tuple[Video, ...]:
    """Join the rows about each video into one ``Video``, sorted by id, and record what is wrong.

    Parameters
    ----------
    root
        The folder that the rows' paths are relative to.
    rows
        Their paths are normalised: two that name one file are equal.
    problems
        Where problems go. The videos are to be used only if there is none.
    files
        Who knows which files exist; None if all are known to.
    """
    first: dict[str, Row] = {}
    parts: dict[str, dict[str, Row]] = {}  # which row says what a video is in a split
    for row in rows:
        if row.path not in first:
            first[row.path] = row
            parts[row.path] = {split: row for split, _ in row.splits}
            if files is not None and not files.is_file(os.path.join(root, row.path)):
                problems.add("is missing", "are missing", row.path)
            elif not is_id(row.path):
                what = "with control characters or bytes that are not UTF-8"
                problems.add(f"has a name {what}", f"have names {what}", row.path)
        else:
            _add_row(first[row.path], parts[row.path], row, problems)
    for id in ids_used_as_folders(first):
        problems.add("is also a folder of another", "are also folders of others", id)
    if problems:
        return ()
    return tuple(
        Video(id=id, path=Path(root, id), label=row.label, split=_split(parts[id])) for id, row in sorted(first.items())
    )


def _add_row(first: Row, parts: dict[str, Row], row: Row, problems: Problems) -> None:
    """Add another row about the same video: what it is in another split, or else a duplicate or a contradiction."""
    if row.label != first.label:
        places = f"{row.path} at {first.where} and {row.where}: {first.label}, {row.label}"
        problems.add("has two labels", "have two labels", places)
        return
    for split, part in row.splits:
        # A data set with one split, "", has no others, so two rows without a split's name always meet.
        other = parts.get(split) or (next(iter(parts.values())) if "" in (split, *parts) else None)
        if other is None:
            parts[split] = row
            continue
        places = f"{row.path} at {other.where} and {row.where}"
        if dict(other.splits).get(split, part) == part:
            problems.add("is listed twice", "are listed twice", places)
        else:
            problems.add("has two parts in one split", "have two parts in one split", places)
        return


def _split(parts: dict[str, Row]) -> str:
    return format_splits({split: dict(row.splits)[split] for split, row in parts.items()})
