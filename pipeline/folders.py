"""Looking at file systems without one system call a file: walk a tree of videos, and ask whether listed files exist."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .errors import UsageError
from .problems import counted

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".h264", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v",
    ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".rm", ".rmvb",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
# fmt: on
"""What a folder's files must end with to be taken for videos, in any mixture of cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderVideos:
    """The videos below a folder.

    Parameters
    ----------
    names
        Paths below the folder, with ``/``, sorted by code point.
    empty
        Whether the folder holds nothing at all (hidden entries aside).
    warnings
        One sentence each: links that lead nowhere, links that lead back.
    """

    names: tuple[str, ...]
    empty: bool
    warnings: tuple[str, ...]


def walk_videos(root: str) -> FolderVideos:
    """Find every video below ``root``: known suffix, not hidden, not in a hidden folder.

    Links to files and to folders are followed. A link to a folder that it lies in would never end: it is not followed,
    and a warning says so.

    Raises
    ------
    UsageError
        A folder cannot be read: leaving it out would silently lose a class.
    """
    names: list[str] = []
    broken: list[str] = []
    loops: list[str] = []
    num_entries = 0
    # A folder still to be read: its path below root with a slash behind it, and the (device, inode) of those above it.
    pending: list[tuple[str, tuple[tuple[int, int], ...], bool]] = [("", (), False)]
    while pending:
        prefix, above, is_link = pending.pop()
        folder = os.path.join(root, prefix)
        try:
            status = os.stat(folder)
            key = (status.st_dev, status.st_ino)
            if is_link and key in above:
                loops.append(prefix[:-1])
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    num_entries += 1
                    if _is_folder(entry):
                        pending.append((f"{prefix}{name}/", (*above, key), is_link or entry.is_symlink()))
                    elif os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES and _is_file(entry):
                        names.append(prefix + name)
                    elif entry.is_symlink() and not _is_file(entry):
                        broken.append(prefix + name)  # whatever its name: it may have been a class
        except OSError as error:
            raise UsageError(
                f"cannot read the folder {folder!r} ({error.strerror}); make it readable, or move it out of {root!r}"
            ) from error
    warnings = []
    if broken:
        one, many = "link leads nowhere and is left out", "links lead nowhere and are left out"
        warnings.append(counted(sorted(broken), one, many))
    if loops:
        one = "link leads back to a folder that it lies in and is not followed"
        many = "links lead back to folders that they lie in and are not followed"
        warnings.append(counted(sorted(loops), one, many))
    return FolderVideos(names=tuple(sorted(names)), empty=num_entries == 0, warnings=tuple(warnings))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


class FileLookup:
    """Answers "is there such a file?" from one listing a folder, not one round trip a file."""

    def __init__(self) -> None:
        self._listings: dict[str, frozenset[str] | None] = {}

    def is_file(self, path: str) -> bool:
        """Whether ``path``, normalised and absolute, is a file or a link to one; False if nobody may know."""
        folder, name = os.path.split(path)
        if folder not in self._listings:
            self._listings[folder] = _list_files(folder)
        listing = self._listings[folder]
        if listing is None:
            return os.path.isfile(path)
        return name in listing


def _list_files(folder: str) -> frozenset[str] | None:
    """List the names of a folder's files; None if it may be entered but not listed."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _is_file(entry))
    except PermissionError:
        return None
    except (OSError, ValueError):  # not there, not a folder, a name too long, a zero byte in it
        return frozenset()
