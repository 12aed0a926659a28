"""Looking at a cache: a contact sheet (PNG), a film (MP4) or a page (HTML), chosen by the output's suffix."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache.atomic import output_error, publish, temporary_path, write_atomic
from ..errors import OutputError, UsageError

if TYPE_CHECKING:
    from ..cache import Cache
    from .selection import View

SUFFIXES = (".png", ".mp4", ".html")
_SHEET_VIDEOS = 4
_PAGE_VIDEOS = 12

__all__ = ["SUFFIXES", "PreviewReport", "write_preview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReport:
    """What was written, of which videos (ids) and modalities."""

    path: Path
    num_bytes: int
    videos: tuple[str, ...]
    modalities: tuple[str, ...]


def write_preview(
    cache: Cache, out: str | os.PathLike[str], video: str | None = None, *, points: Iterable[tuple[int, int]] = ()
) -> PreviewReport:
    """Picture a cache; the file appears whole or not at all, and replaces one that is there.

    Parameters
    ----------
    out
        ``FILE.png``, ``FILE.mp4`` or ``FILE.html``, in a folder that exists.
    video
        Id of the one to show. By default a few of each class; in a film the first.
    points
        Pixels of the cached frames at which cost volumes are shown, ``(y, x)``; by default those of a grid.

    Raises
    ------
    UsageError
        Another suffix, an unknown video, a modality that has no picture, or a point that frames do not have.
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

    from .selection import choose_views

    if suffix == ".mp4":
        if video is None:
            video = next(iter(cache.videos), None)
        views = choose_views(cache, video, limit=1, points=points)
        _write_movie(cache, path, views[0])
    elif suffix == ".png":
        from .contact_sheet import contact_sheet
        from .images import encode_png

        views = choose_views(cache, video, limit=_SHEET_VIDEOS, points=points)
        write_atomic(path, encode_png(contact_sheet(cache, views)))
    else:
        from .page import page

        views = choose_views(cache, video, limit=_PAGE_VIDEOS, points=points)
        write_atomic(path, page(cache, views).encode())
    return PreviewReport(
        path=path,
        num_bytes=path.stat().st_size,
        videos=tuple(view.video.id for view in views),
        modalities=tuple(
            dict.fromkeys(name for view in views for name in view.modalities if name in view.video.modalities)
        ),
    )


def _check_place(path: Path) -> None:
    """Say at once what would only come to light after the work."""
    if os.path.isdir(path):  # Path.is_dir raises where a folder on the way is closed
        raise OutputError(f"cannot write {path}: it is a folder; choose another name")
    if not os.path.isdir(path.parent):
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it or choose another one")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: permission denied; choose a folder that you may write to")


def _write_movie(cache: Cache, path: Path, view: View) -> None:
    from .movie import write_movie

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
        with suppress(OSError):  # gone already where all went well, and never there in a read-only place
            temporary.unlink()
