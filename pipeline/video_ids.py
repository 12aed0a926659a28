"""What may be a video's id, which is also the name of its group inside the cache."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from .errors import UsageError

# Control characters (C0, DEL, C1) and the two Unicode line breaks would break lists of ids and log lines; a surrogate
# is a byte of a file name that is not UTF-8, and can be stored neither in HDF5 nor in Parquet.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# A component that is nothing, "." or "..": this covers the empty id, absolute paths, "a//b" and "a/".
_NO_NAME = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)")


def check_id(id: str) -> None:
    """Refuse an id that is not a plain relative POSIX path.

    An id is a path below the source, suffix included: one or more names joined by single slashes, none of them ``.`` or
    ``..``, without control characters, line breaks or bytes that are not UTF-8. A backslash is a character like any
    other.

    Raises
    ------
    UsageError
        Naming the id and what is wrong with it.
    """
    if _NO_NAME.search(id):
        if not id:
            problem = "is empty"
        elif id.startswith("/"):
            problem = "is an absolute path"
        else:
            problem = "has a component that is empty, '.' or '..'"
    elif found := _FORBIDDEN.search(id):
        problem = "has a byte that is not UTF-8" if found[0] >= "\ud800" else "has a control character or a line break"
    else:
        return
    raise UsageError(
        f"the video id {id!r} {problem}; an id is a relative path of printable names, like 'class/video.mp4'"
    )


def is_id(id: str) -> bool:
    """Whether ``check_id`` accepts ``id``."""
    return not (_NO_NAME.search(id) or _FORBIDDEN.search(id))


def ids_used_as_folders(ids: Iterable[str]) -> list[str]:
    """List the ids that are also a folder of another, as ``a`` is of ``a/b.mp4``: a cache can hold only one of them."""
    ids = set(ids)
    folders: set[str] = set()
    for id in ids:
        folder = os.path.dirname(id)
        while folder and folder not in folders:
            folders.add(folder)
            folder = os.path.dirname(folder)
    return sorted(ids & folders)
