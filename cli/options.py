"""Types of options that several commands share."""

from __future__ import annotations

import re
from fractions import Fraction

import click

from ..pipeline.errors import UsageError
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


SIZE = SizeType()
FPS = FpsType()
