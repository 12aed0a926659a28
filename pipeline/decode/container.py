"""A file opened with FFmpeg, and the video stream in it that counts: the same for every decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from ..errors import VideoError

CENTRED_CHROMA = frozenset({"mjpeg", "mjpegb", "mpeg1video", "jpeg2000"})
"""Codecs whose chroma samples lie between luma samples, and not on the even ones."""

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: cover art of a sound file


def open_video(path: Path) -> tuple[Any, Any]:
    """Open a file with FFmpeg and choose its video stream: the largest that is not cover art.

    Returns
    -------
    container, stream
        PyAV's, to be decoded on one thread; close the container.

    Raises
    ------
    VideoError
        ``open``: unreadable, empty, not a video, or sound only.
    """
    try:
        if path.stat().st_size == 0:
            raise VideoError("open", "the file is empty")
        container = av.open(str(path), metadata_errors="replace")  # a title in Latin-1 is no reason to fail
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError("open", f"not a readable video: {words(error)}") from error
    try:
        stream = _largest_stream(container)
        stream.codec_context.thread_count = 1
    except BaseException:
        container.close()
        raise
    return container, stream


def clockwise_rotation(picture: Any) -> int:
    """Return by how many degrees clockwise a decoded picture must be turned to be upright: 0, 90, 180 or 270."""
    return -round(float(picture.rotation) / 90) * 90 % 360


def words(error: BaseException) -> str:
    """Return FFmpeg's or the system's words, without numbers, paths and the name of the failing function."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _largest_stream(container: Any) -> Any:
    streams = [stream for stream in container.streams.video if not stream.disposition & _ATTACHED_PICTURE]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
        raise VideoError("open", f"no video stream in it, only {' and '.join(kinds)}")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise VideoError("open", "FFmpeg has no decoder for its codec")
    return max(known, key=lambda stream: (stream.width or 0) * (stream.height or 0))
