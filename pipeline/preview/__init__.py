"""Looking at a cache: a contact sheet (PNG), a film (MP4) or a page (HTML), chosen by the output's suffix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache.atomic import output_error, publish, temporary_path, write_atomic
from ..errors import OutputError, UsageError

if TYPE_CHECKING:
    from ..cache import Cache

SUFFIXES = (".png", ".mp4", ".html")
_SHEET_VIDEOS = 4
_PAGE_VIDEOS = 12

__all__ = ["SUFFIXES", "write_preview"]


def write_preview(cache: Cache, out: str | os.PathLike[str], video: str | None = None) -> Path:
    """Picture a cache; the file appears whole or not at all, and replaces one that is there.

    Parameters
    ----------
    out
        ``FILE.png``, ``FILE.mp4`` or ``FILE.html``, in a folder that exists.
    video
        Id of the one to show. By default a few of each class; in a film the first.

    Returns
    -------
    The path of the file.

    Raises
    ------
    UsageError
        Another suffix, an unknown video, or a modality that has no picture.
    CacheError
        The cache is empty or damaged.
    OutputError
        The file cannot be written.
    """
    path = Path(out)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} does not say which preview to make: end its name in {', '.join(SUFFIXES)}")
    _check_place(path)
    if suffix == ".mp4":
        _write_movie(cache, path, video)
        return path

    from .selection import choose_views

    if suffix == ".png":
        from .contact_sheet import contact_sheet
        from .images import encode_png

        write_atomic(path, encode_png(contact_sheet(cache, choose_views(cache, video, limit=_SHEET_VIDEOS))))
    else:
        from .page import page

        write_atomic(path, page(cache, choose_views(cache, video, limit=_PAGE_VIDEOS)).encode())
    return path


def _check_place(path: Path) -> None:
    """Say at once what would only come to light after the work."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; choose another name")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it or choose another one")


def _write_movie(cache: Cache, path: Path, video: str | None) -> None:
    from .movie import write_movie
    from .selection import choose_views

    view = choose_views(cache, video if video is not None else next(iter(cache.videos), None), limit=1)[0]
    temporary = temporary_path(path)
    try:
        with open(temporary, "wb+") as file:
            write_movie(cache, view, file)
            os.fsync(file.fileno())
        publish(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise output_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)  # gone already where all went well
