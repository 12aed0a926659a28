"""What a user says at load time about videos: their classes, their splits, or which of them to take."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..pipeline.cache import Cache
from ..pipeline.cache.lazy import lazy
from ..pipeline.errors import UsageError
from ..pipeline.labels import (
    Row,
    is_kinetics,
    is_table,
    locate,
    read_hmdb51,
    read_kinetics,
    read_table,
    read_ucf101,
)
from ..pipeline.labels.reading import read_cells, read_lines
from ..pipeline.labels.tables import find_columns
from ..pipeline.problems import Problems, counted
from ..pipeline.videos import join_rows

Labels = Mapping[str, int] | str | os.PathLike[str] | None
Split = str | os.PathLike[str] | Collection[str] | None

_READERS = {"ucf101": read_ucf101, "hmdb51": read_hmdb51}
_LABEL_MAP: dict[str, tuple[str, ...]] = {"class": ("class", "label", "name"), "index": ("index", "class_index", "id")}
_FORMS = (
    "a mapping from class to index, a CSV of these with the header class,index, ucf101:DIR, hmdb51:DIR, "
    "kinetics:FILE.csv, or a CSV path,label[,split]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What is known about the videos of a cache.

    Parameters
    ----------
    labels
        Class of each video, by position; None where it is not known.
    splits
        By position, as ``parse_splits`` reads them; None where nothing is known.
    listed
        By position: whether it is listed at all.
    classes
        Index by class.
    failed, absent
        What is listed and failed to be extracted, and what the cache knows nothing of.
    source
        Who says so, for messages.
    """

    labels: list[str | None]
    splits: list[str | None]
    listed: list[bool]
    classes: dict[str, int]
    failed: tuple[str, ...]
    absent: tuple[str, ...]
    source: str


def annotation(cache: Cache, labels: Labels) -> Annotation:
    """Read ``labels``, or what the cache itself says.

    Parameters
    ----------
    labels
        - None: the cache's own classes and splits.
        - A mapping from class to index, or a CSV with the header ``class,index``: the indices of the cache's own
          classes. Several classes may share an index.
        - ``ucf101:DIR``, ``hmdb51:DIR``, ``kinetics:FILE.csv``, or a CSV ``path,label[,split]``: classes and splits
          instead of the cache's own. What is not listed is left out. A video is found by its id, or by its file's name
          where no other has that.

    Raises
    ------
    UsageError
        If it is of no known form, cannot be read, lacks a class, or (a CSV) lists videos that the cache has not.
    """
    if labels is None or isinstance(labels, Mapping):
        return _own(cache, labels, "the label map")
    name = os.fspath(labels)
    kind, _, place = name.partition(":")
    path = os.path.expanduser(name)
    if place and kind in (*_READERS, "kinetics") and not os.path.isfile(path):
        path = os.path.expanduser(place)
        return _kinetics(cache, path, name) if kind == "kinetics" else _listed(cache, kind, path, name)
    if not is_table(path):
        raise UsageError(f"labels {name!r} are of no known form; they are {_FORMS}")
    label_map = _read_label_map(path)
    if label_map is not None:
        return _own(cache, label_map, repr(name))
    return _kinetics(cache, path, name) if is_kinetics(path) else _listed(cache, "table", path, name)


def listed_videos(cache: Cache, split: str | os.PathLike[str] | Collection[str]) -> set[str]:
    """Return the ids of a list: a file, or a collection.

    Parameters
    ----------
    split
        A ``.csv`` with the paths in its first column or under ``path``, any other text file with one video a line
        (what follows the id is ignored, so that the lists of UCF101 may be used), or the ids themselves.

    Raises
    ------
    UsageError
        If the file cannot be read, or ids are neither in the cache nor among its failures.
    """
    if isinstance(split, (str, os.PathLike)):
        path = os.path.expanduser(os.fspath(split))
        finder = _Finder(cache)
        if is_table(path):
            names = [row.path for row in read_table(path).rows]
        else:
            names = [_id_of_line(line.strip(), finder) for _, line in read_lines(path) if not line.startswith("#")]
        ids, absent = finder.split(names)
        source = repr(os.fspath(split))
    else:
        ids, absent = _Finder(cache).split(list(split))
        source = "the list of ids"
    _refuse(absent, source)
    return set(ids)


def is_list(split: Split) -> bool:
    """Whether a split is a list of videos, rather than a part such as ``"train"``."""
    return not isinstance(split, str) or split.lower().endswith((".txt", ".csv"))


def check_classes(classes: Mapping[str, int], source: str) -> dict[str, int]:
    """Return a label map with plain integers; ``UsageError`` unless they are 0 or more."""
    for name, index in classes.items():
        if not isinstance(name, str) or isinstance(index, bool) or not hasattr(index, "__index__") or index < 0:
            raise UsageError(f"{source} maps {name!r} to {index!r}; it maps names of classes to indices from 0")
    if not classes:
        raise UsageError(f"{source} is empty; it maps each class to its index")
    return {name: int(index) for name, index in classes.items()}


def _own(cache: Cache, classes: Mapping[str, int] | None, source: str) -> Annotation:
    labels = cache.labels
    if classes is None:
        indices = {name: index for index, name in enumerate(cache.classes)}
        source = "the cache"
    else:
        indices = check_classes(classes, source)
    if unknown := sorted({label for label in labels if label} - set(indices)):
        problem = counted(unknown, "class of this cache is", "classes of this cache are")
        raise UsageError(f"{problem} not in {source}: add an index for each")
    listed = [True] * len(labels)
    return Annotation(
        labels=labels, splits=cache.splits, listed=listed, classes=indices, failed=(), absent=(), source=source
    )


def _read_label_map(path: str) -> dict[str, int] | None:
    """Read a CSV ``class,index``; None if its header is not that of one."""
    lines = read_cells(path)
    columns = find_columns(lines[0][1], _LABEL_MAP)
    if set(columns) != set(_LABEL_MAP) or len(lines[0][1]) != len(_LABEL_MAP):
        return None
    classes: dict[str, int] = {}
    for where, cells in lines[1:]:
        name, index = (cells[columns[key]] if len(cells) == len(columns) else "" for key in ("class", "index"))
        if not name or not (index.isascii() and index.isdigit()) or name in classes:
            raise UsageError(f"{where} is {','.join(cells)!r}; a line is a class and its index from 0, each class once")
        classes[name] = int(index)
    return classes


def _listed(cache: Cache, kind: str, path: str, source: str) -> Annotation:
    listed = read_table(path) if kind == "table" else _READERS[kind](path)
    finder = _Finder(cache)
    found, absent = [], []
    for row in listed.rows:
        id_ = finder.find(row.path)
        if id_ is None:
            absent.append(row.path)
        else:
            found.append((id_, row))
    if kind == "table":
        _refuse(absent, repr(source))  # the user's own list, so it is a mistake; official lists are of whole data sets
    classes = _cache_order(cache, listed.classes) if kind == "table" else listed.classes
    return _join(cache, found, absent, classes, source)


def _kinetics(cache: Cache, path: str, source: str) -> Annotation:
    clips, classes = read_kinetics(path)
    finder = _Finder(cache)
    rows, missing, _ = locate(clips, finder.known)
    return _join(cache, [(row.path, row) for row in rows], missing, _cache_order(cache, classes), source)


def _cache_order(cache: Cache, classes: tuple[str, ...]) -> tuple[str, ...]:
    return cache.classes if set(classes) <= set(cache.classes) else classes


def _join(
    cache: Cache, found: Iterable[tuple[str, Row]], absent: Iterable[str], classes: tuple[str, ...], source: str
) -> Annotation:
    """Join rows, each with the id that it is about."""
    problems = Problems()
    videos = join_rows("/", [row._replace(path=id_) for id_, row in found], problems)
    problems.raise_any(f"of the videos of {source!r}", "correct the list")
    absent = tuple(dict.fromkeys(absent))
    positions = {id_: position for position, id_ in enumerate(cache.videos)}
    if not any(video.id in positions for video in videos):
        raise UsageError(
            f"none of the {len(absent) + len(videos):,} videos of {source!r} is in {cache.path}, whose ids are like "
            f"{next(iter(cache.videos), 'class/video.mp4')!r}: give the labels of these videos"
        )
    labels: list[str | None] = [None] * len(cache)
    splits: list[str | None] = [None] * len(cache)
    listed = [False] * len(cache)
    for video in videos:
        position = positions.get(video.id)
        if position is not None:
            labels[position], splits[position], listed[position] = video.label or None, video.split, True
    return Annotation(
        labels=labels,
        splits=splits,
        listed=listed,
        classes={name: index for index, name in enumerate(classes)},
        failed=tuple(video.id for video in videos if video.id not in positions),
        absent=absent,
        source=repr(source),
    )


class _Finder:
    """Finds a cache's videos, those that failed too, by what lists call them."""

    def __init__(self, cache: Cache) -> None:
        self.known = dict.fromkeys([*cache.videos, *(failure.video for failure in cache.failures)])
        self._source = cache.header.source.rstrip("/") + "/"

    def find(self, path: str) -> str | None:
        """Return the id of what a list calls ``path``: equal, or one the end of the other; None if there is none."""
        path = os.path.normpath(path).removeprefix(self._source)
        if path in self.known:
            return path
        alike = self._by_name.get(path.rpartition("/")[2], ())
        fitting = [id_ for id_ in alike if f"/{path}".endswith(f"/{id_}") or id_.endswith(f"/{path}")]
        return fitting[0] if len(fitting) == 1 else None

    def split(self, paths: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the ids of what is known, and what is not."""
        ids = [(self.find(path), path) for path in paths]
        return [id_ for id_, _ in ids if id_ is not None], [path for id_, path in ids if id_ is None]

    @lazy
    def _by_name(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for id_ in self.known:
            names.setdefault(id_.rpartition("/")[2], []).append(id_)
        return names


def _id_of_line(line: str, finder: _Finder) -> str:
    """Return the longest beginning of a line, up to a space or its end, that is a video; else the line's first word."""
    beginning = line
    while beginning:
        if finder.find(beginning) is not None:
            return beginning
        beginning = beginning.rpartition(" ")[0].rstrip(" ") if " " in beginning else ""
    return line.split(" ")[0]


def _refuse(absent: Sequence[str], source: str) -> None:
    if absent:
        problem = counted(list(dict.fromkeys(absent)), "video", "videos")
        raise UsageError(f"{source} lists {problem} that this cache does not have: correct it, or take them out")
