"""Types of options that several commands share."""

from __future__ import annotations

import re
from fractions import Fraction

import click

from ..pipeline.errors import UsageError
from ..pipeline.motion import MAX_RADIUS
from ..pipeline.numbers import frame_rate


class SizeType(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """``WxH`` in pixels, as in the papers and in ffmpeg, to ``(height, width)``, as in arrays."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(value))
        if match is None or not all(1 <= int(number) <= 16384 for number in match.groups()):
            self.fail(f"{value!r} is not a size: write WIDTHxHEIGHT in pixels, each 1 to 16384, for example 170x128")
        return int(match[2]), int(match[1])


class FpsType(click.ParamType):  # type: ignore[type-arg]
    """Frames per second: ``15``, ``29.97`` or ``30000/1001``."""

    name = "F"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            return frame_rate(value)
        except UsageError as error:
            self.fail(str(error))


class RadiusType(click.ParamType):  # type: ignore[type-arg]
    """``N``, or ``XxY`` (across, then down, as in sizes), to ``(ry, rx)``, as in arrays."""

    name = "N|XxY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,3})(?:x(\d{1,3}))?", str(value))
        across, down = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
        if not (1 <= across <= MAX_RADIUS and 1 <= down <= MAX_RADIUS):
            self.fail(
                f"{value!r} is not a radius: write pixels, 1 to {MAX_RADIUS}, for example 4, or 7x4 for 7 across and "
                "4 down"
            )
        return down, across


class PointType(click.ParamType):  # type: ignore[type-arg]
    """``X,Y`` from the top left corner, to ``(y, x)``, as in arrays."""

    name = "X,Y"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5}) *, *(\d{1,5})", str(value))
        if match is None:
            self.fail(
                f"{value!r} is not a point: write X,Y in pixels from the top left corner of the frames, for example "
                "85,64"
            )
        return int(match[2]), int(match[1])


SIZE = SizeType()
FPS = FpsType()
RADIUS = RadiusType()
POINT = PointType()
