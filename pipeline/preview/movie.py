"""The film: a video's modalities side by side, at the video's own rate, in H.264."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import av

from ..errors import OutputError
from .canvas import Canvas, Colour, Picture, fit
from .contact_sheet import BACKGROUND
from .lettering import shorten
from .render import get_renderer
from .selection import View

if TYPE_CHECKING:
    from ..cache import Cache

DEFAULT_FPS = 25  # for a video whose container does not say
_FPS_RANGE = (Fraction(1, 10), Fraction(1000))
_CHUNK = 32  # frames in memory at a time
_PANEL_HEIGHT = 256  # smaller pictures are enlarged by a whole number to about this
_WIDEST = 8192  # pixels of a film: pictures that would make it wider are enlarged less, or shrunk
_MARGIN, _GAP, _CAPTION, _FOOTER = 16, 12, 36, 32
_SIZE = 11
_TEXT: Colour = (236, 239, 244)
_QUIET: Colour = (146, 154, 170)
_QUALITY = {"crf": "18", "preset": "veryfast"}


def write_movie(cache: Cache, view: View, file: BinaryIO) -> int:
    """Encode the film as MP4 into a seekable binary file.

    Memory is bounded: frames are read, painted and encoded in chunks.

    Returns
    -------
    Number of frames written.

    Raises
    ------
    OutputError
        This build of FFmpeg has no H.264 encoder.
    OSError
        The file cannot be written.
    """
    if "libx264" not in av.codec.codecs_available:
        raise OutputError(
            "this build of PyAV has no H.264 encoder (libx264): install PyAV from PyPI's wheels, or preview as .png"
        )
    stage = _Stage(view)
    output = _Output(file)
    try:
        with av.open(output, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=_rate(view.video.fps), options=_QUALITY)
            stream.height, stream.width, stream.pix_fmt = *stage.size, "yuv420p"
            for picture in stage.pictures(cache):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    finally:
        if output.error is not None:
            raise output.error
    return len(view.frames)


class _Output:
    """Remembers why writing failed: FFmpeg has an error of its own for that, or none at all when it closes a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: bytes) -> int:
        try:
            written = self._file.write(data)
            self._file.flush()
        except OSError as error:
            self.error = error
            raise
        return written


def _rate(fps: float) -> Fraction:
    rate = Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(DEFAULT_FPS)
    return min(max(rate, _FPS_RANGE[0]), _FPS_RANGE[1])


class _Stage:
    """The layout: what stays the same in every frame is painted once."""

    def __init__(self, view: View) -> None:
        self._view = view
        count = len(view.modalities)
        height, width = self._panel = _panel_size(view.shown_size, (_WIDEST - 2 * _MARGIN + _GAP) // count - _GAP)
        # 4:2:0 needs even sides.
        self.size = (
            _even(_CAPTION + height + _FOOTER),
            _even(max(2 * _MARGIN + count * (width + _GAP) - _GAP, 160)),
        )
        self._left = [_MARGIN + index * (width + _GAP) for index in range(count)]
        canvas = Canvas.blank(*self.size, BACKGROUND)
        for left, modality in zip(self._left, view.modalities, strict=True):
            title = shorten(get_renderer(modality, view.look).title, _SIZE, width)
            canvas.text(_CAPTION - 12, left, title, size=_SIZE, colour=_TEXT)
        self._background = canvas.pixels

    def pictures(self, cache: Cache) -> Iterator[Picture]:
        frames = self._view.frames
        for start in range(frames.start, frames.stop, _CHUNK):
            stop = min(start + _CHUNK, frames.stop)
            panels = [self._view.pictures(cache, name, start, stop) for name in self._view.modalities]
            for index, frame in enumerate(range(start, stop)):
                yield self._paint(frame, [panel[index] for panel in panels])

    def _paint(self, frame: int, panels: list[Picture]) -> Picture:
        canvas = Canvas(self._background.copy())
        height, width = self._panel
        for left, panel in zip(self._left, panels, strict=True):
            canvas.pixels[_CAPTION : _CAPTION + height, left : left + width] = fit(panel, height, width)
        moment = self._view.moment(frame)
        room = self.size[1] - 2 * _MARGIN
        line = shorten(f"{moment}   {self._view.video.id}", _SIZE, room)
        canvas.text(_CAPTION + height + 21, _MARGIN, line, size=_SIZE, colour=_QUIET)
        return canvas.pixels


def _panel_size(shown: tuple[int, int], most: int) -> tuple[int, int]:
    """Height and width of a picture on the stage, at most ``most`` wide."""
    height, width = shown
    if width > most:
        return max(1, round(height * most / width)), most
    enlarge = max(1, min(round(_PANEL_HEIGHT / height), most // width))
    return height * enlarge, width * enlarge


def _even(size: int) -> int:
    return size + size % 2
