"""Who decodes a video: DALI where it was asked for or a GPU is at work, and PyAV what DALI cannot take."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from ..errors import MissingExtraError, VideoError
from .frames import FrameSource
from .size import FrameSize


def choose_decoder(decoder: str, device: str) -> tuple[str, str]:
    """Return who is to decode, ``dali`` or ``pyav``, and a note if that is not the first choice.

    Parameters
    ----------
    decoder
        ``auto`` takes DALI on a GPU, if it is installed, and PyAV on the CPU; ``dali``; ``pyav``.
    device
        ``cpu`` or ``cuda:N``.

    Raises
    ------
    MissingExtraError
        ``dali`` was asked for and is not installed.
    """
    assert decoder in ("auto", "dali", "pyav"), decoder
    if decoder == "pyav" or (decoder == "auto" and device == "cpu"):
        return "pyav", ""
    from .dali_lane import require_dali

    try:
        require_dali(device)
    except MissingExtraError:
        if decoder == "dali":
            raise
        return "pyav", "DALI is not installed"
    return "dali", ""


def open_frames(
    path: Path, *, size: FrameSize, fps: Fraction | None, chunk_frames: int, device: str, decoder: str, lead: int = 0
) -> tuple[FrameSource, str]:
    """Open a video with the decoder that was asked for, or with PyAV if DALI cannot take it.

    DALI may still find that it cannot decode a video when it comes to the frames; ``dali_note`` makes a note of such an
    error, and opening the video once more, with ``pyav``, gives the last word on it.

    Parameters
    ----------
    path
        The file.
    size
        Which size the frames are to have.
    fps
        Frames per second to pick by timestamp; ``None`` takes every frame.
    chunk_frames
        New frames a chunk holds at most, the first one ``lead`` more.
    device
        ``cpu`` or ``cuda:N``: where the frames are to be, whoever decodes them.
    decoder
        ``auto``, ``dali`` or ``pyav``, as for ``choose_decoder``.
    lead
        Frames of the chunk before that the others begin with: see ``FrameChunk``.

    Returns
    -------
    source, note
        The open video. If DALI was to decode it and PyAV does, the reason; otherwise ``""``.

    Raises
    ------
    VideoError
        If PyAV finds nothing to decode.
    MissingExtraError
        As for ``choose_decoder``.
    """
    chosen, note = choose_decoder(decoder, device)
    if chosen == "dali":
        source, note = start_dali(path, size=size, fps=fps, chunk_frames=chunk_frames, device=device, lead=lead)
        if source is not None:
            return source, note
    return _open_pyav(path, size=size, fps=fps, chunk_frames=chunk_frames, device=device, lead=lead), note


def start_dali(
    path: Path, *, size: FrameSize, fps: Fraction | None, chunk_frames: int, device: str, lead: int = 0
) -> tuple[FrameSource | None, str]:
    """Start decoding a video with DALI, on its threads.

    Parameters
    ----------
    path, size, fps, chunk_frames, device, lead
        As for ``open_frames``.

    Returns
    -------
    source, note
        The open video and ``""``; or ``None``, and why PyAV has to decode it.
    """
    from .dali import DaliSource
    from .dali_support import refusal
    from .demux import scan

    try:
        scanned = scan(path)
        reason = refusal(scanned, device)
        if reason is not None:
            return None, reason
        source = DaliSource(
            path, scanned, size=size, fps=fps, chunk_frames=chunk_frames, device=device, num_threads=1, lead=lead
        )
    except VideoError as error:
        return None, dali_note(error.reason)
    return source, ""


def dali_note(reason: str) -> str:
    """Return the note of a video that DALI began and PyAV has to decode."""
    return reason if reason.startswith("DALI") else f"DALI: {reason}"


def _open_pyav(
    path: Path, *, size: FrameSize, fps: Fraction | None, chunk_frames: int, device: str, lead: int
) -> FrameSource:
    from .pyav import open_pyav

    source = open_pyav(path, size=size, fps=fps, chunk_frames=chunk_frames, lead=lead)
    if device == "cpu":
        return source
    from .upload import UploadedSource

    return UploadedSource(source, device)
