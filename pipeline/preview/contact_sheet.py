"""The contact sheet: a few videos, each with evenly spaced frames as columns and a line per modality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from .canvas import Canvas, Colour, Picture, fit
from .colour_wheel import wheel_picture
from .evenly import evenly
from .lettering import shorten, text_width
from .render import ON_THE_WHEEL, Look, get_renderer
from .selection import View

if TYPE_CHECKING:
    from ..cache import Cache

BACKGROUND: Colour = (17, 19, 24)
_RULE: Colour = (44, 49, 60)
_TEXT: Colour = (236, 239, 244)
_QUIET: Colour = (146, 154, 170)
_CHIP: Colour = (38, 58, 84)
_CHIP_TEXT: Colour = (158, 203, 255)

_WIDTH = 1072  # of a line of pictures: six of about the default size
_ROWS_OF_ONE, _LINES_OF_ONE = 12, 3  # at most, of pictures and of frames, when there is but one video to show
_CELL_HEIGHT = 128  # the default size of a cache's frames: shown pixel by pixel
_CELL_HEIGHTS = (48, 240)
_CELL_WIDTHS = (132, 260)  # captions need the lower one
_MARGIN, _GAP, _RADIUS = 28, 8, 6
_WHEEL = 112  # its diameter, where there is room
_TITLE_SIZE, _NAME_SIZE, _SIZE = 19, 13, 10.5  # heights of capitals
_HEADER, _CAPTION_LINE = 90, 21
_VIDEO_HEADER, _FRAME_LINE, _LINE_GAP, _VIDEO_GAP = 44, 18, 12, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """One video: the frames of its columns, line by line, and the size of its cells."""

    view: View
    lines: list[list[int]]
    cell: tuple[int, int]

    @classmethod
    def of(cls, view: View, max_lines: int) -> _Block:
        cell = _cell_size(view)
        columns = (_WIDTH + _GAP) // (cell[1] + _GAP)
        frames = evenly(view.frames, columns * max_lines)
        return cls(view=view, lines=[frames[i : i + columns] for i in range(0, len(frames), columns)], cell=cell)

    @property
    def line_height(self) -> int:
        return len(self.view.modalities) * (self.cell[0] + _GAP) + _FRAME_LINE

    @property
    def height(self) -> int:
        return _VIDEO_HEADER + len(self.lines) * (self.line_height + _LINE_GAP) - _LINE_GAP


def contact_sheet(cache: Cache, views: list[View]) -> Picture:
    """Paint the sheet.

    Returns
    -------
    ``(H, W, 3)`` uint8 RGB.
    """
    max_lines = max(1, min(_LINES_OF_ONE, _ROWS_OF_ONE // len(views[0].modalities))) if len(views) == 1 else 1
    blocks = [_Block.of(view, max_lines) for view in views]
    modalities = list(dict.fromkeys(name for view in views for name in view.modalities))
    label_width = round(max(text_width(name, _NAME_SIZE) for name in modalities)) + 18
    captions = [f"{name}: {get_renderer(name, views[0].look).caption}" for name in modalities]
    legend = [modality for modality in modalities if modality in ON_THE_WHEEL]
    header = _HEADER + _CAPTION_LINE * len(captions)
    width = label_width + _WIDTH + 2 * _MARGIN
    height = header + sum(block.height + _VIDEO_GAP for block in blocks) + _MARGIN - _VIDEO_GAP
    canvas = Canvas.blank(height, width, BACKGROUND)
    _paint_header(canvas, cache, captions)
    if legend:
        _paint_wheel(canvas, views[0].look, header)
    y = header
    for block in blocks:
        _paint_block(canvas, cache, block, y, _MARGIN + label_width)
        y += block.height + _VIDEO_GAP
    return canvas.pixels


def _cell_size(view: View) -> tuple[int, int]:
    """Size of the pictures of a video, in its shape: higher ones where it is narrow, lower ones where it is wide."""
    height, width = view.shown_size
    wanted = _CELL_HEIGHT * width / height
    cell_width = _between(round(wanted), _CELL_WIDTHS)
    return _between(round(_CELL_HEIGHT * cell_width / wanted), _CELL_HEIGHTS), cell_width


def _between(size: int, limits: tuple[int, int]) -> int:
    return min(limits[1], max(limits[0], size))


def _paint_header(canvas: Canvas, cache: Cache, captions: list[str]) -> None:
    room = canvas.pixels.shape[1] - 2 * _MARGIN
    folder = cache.path.resolve().name
    source = PurePath(cache.header.source).name
    title = shorten(source or folder or "cache", _TITLE_SIZE, room / 2)
    canvas.text(52, _MARGIN, title, size=_TITLE_SIZE, colour=_TEXT, bold=True)
    step = int(cache.header.config["step"])
    facts = [
        *([f"in {shorten(folder, _SIZE, room / 5)}"] if source and folder else []),
        f"{len(cache):,} video{'' if len(cache) == 1 else 's'}",
        *([f"{len(cache.classes):,} classes"] if len(cache.classes) > 1 else []),
        f"step {step}",
        f"codec {cache.header.config['codec']}",
    ]
    x = _MARGIN + text_width(title, _TITLE_SIZE) + 18
    canvas.text(52, x, " \N{MIDDLE DOT} ".join(facts), size=_SIZE, colour=_QUIET)
    for row, caption in enumerate(captions):
        canvas.text(80 + _CAPTION_LINE * row, _MARGIN, caption, size=_SIZE, colour=_QUIET)


def _paint_wheel(canvas: Canvas, look: Look, header: int) -> None:
    diameter = min(_WHEEL, header - 2 * _MARGIN)
    left, top = canvas.pixels.shape[1] - _MARGIN - diameter, _MARGIN - 4
    canvas.picture(top, left, wheel_picture(diameter), radius=diameter // 2)
    label = f"{look.motion_scale:g} px"
    canvas.text(top + diameter, left - text_width(label, _SIZE) - 4, label, size=_SIZE, colour=_QUIET)


def _paint_block(canvas: Canvas, cache: Cache, block: _Block, y: int, x: int) -> None:
    view = block.view
    room = canvas.pixels.shape[1] - _MARGIN
    canvas.bar(y, _MARGIN, 1, room - _MARGIN, _RULE)
    line = y + 31
    name = shorten(view.video.id, _NAME_SIZE, 0.5 * (room - _MARGIN))
    canvas.text(line, _MARGIN, name, size=_NAME_SIZE, colour=_TEXT, bold=True)
    pen = _MARGIN + text_width(name, _NAME_SIZE) + 14
    if view.video.label:
        label = shorten(view.video.label, _SIZE, 200)
        chip = round(text_width(label, _SIZE)) + 18
        canvas.bar(line - 17, round(pen), 24, chip, _CHIP, radius=12)
        canvas.text(line - 1, pen + 9, label, size=_SIZE, colour=_CHIP_TEXT)
        pen += chip + 14
    canvas.text(line, pen, view.description(), size=_SIZE, colour=_QUIET)
    y += _VIDEO_HEADER
    for index, frames in enumerate(block.lines):
        _paint_line(canvas, cache, block, frames, y + index * (block.line_height + _LINE_GAP), x)


def _paint_line(canvas: Canvas, cache: Cache, block: _Block, frames: list[int], y: int, x: int) -> None:
    view, (height, width) = block.view, block.cell
    columns = [x + column * (width + _GAP) for column in range(len(frames))]
    for row, modality in enumerate(view.modalities):
        top = y + row * (height + _GAP)
        canvas.text(top + height // 2 + 5, _MARGIN, modality, size=_NAME_SIZE, colour=_TEXT)
        for column, frame in zip(columns, frames, strict=True):
            picture = view.pictures(cache, modality, frame, frame + 1)[0]
            canvas.picture(top, column, fit(picture, height, width), radius=_RADIUS)
    baseline = y + len(view.modalities) * (height + _GAP) + 10
    for column, frame in zip(columns, frames, strict=True):
        canvas.text(baseline, column + 1, shorten(view.moment(frame), _SIZE, width), size=_SIZE, colour=_QUIET)
