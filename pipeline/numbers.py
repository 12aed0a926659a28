"""Numbers that a user gave, checked and made plain: what NumPy or a config file calls a number is one here too."""

from __future__ import annotations

import operator
from fractions import Fraction
from typing import SupportsFloat

from .errors import UsageError
from .option_names import option

_MAX_FPS = 1000
_MAX_SECONDS = 1_000_000  # eleven days; what waits for a process takes no more than some weeks


def whole_number(value: object, low: int, high: int | None, demand: str) -> int:
    """Return an integer of any kind, NumPy's included, as an ``int``.

    Parameters
    ----------
    low, high
        The range, both ends included; ``None`` for no upper end.
    demand
        What the number must be, as the message says it: ``step must be 1 to 1024 frames``.

    Raises
    ------
    UsageError
        If it is no integer (True and False are none), or outside of the range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        raise UsageError(f"{demand}, got {value!r}" if number is None else f"{demand}, got {number}")
    return number


def frame_rate(value: object) -> Fraction:
    """Return frames per second, given as any kind of number or as text: ``15``, ``29.97``, ``"30000/1001"``.

    Raises
    ------
    UsageError
        If it is no number, or not above 0 and at most 1000.
    """
    text = str(value)
    try:
        # An exponent goes through float: Fraction("1e999999999") would take hours.
        fps = Fraction(float(text) if "e" in text.lower() else text).limit_denominator(1_000_000)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise UsageError(
            f"fps must be a number of frames per second such as 15, 29.97 or 30000/1001, got {value!r}"
        ) from None
    if not 0 < fps <= _MAX_FPS:
        raise UsageError(f"fps must be above 0 and at most {_MAX_FPS} frames per second, got {value}")
    return fps


def seconds(name: str, value: SupportsFloat) -> float:
    """Return a duration above 0 and at most 1,000,000 seconds; ``UsageError`` names it otherwise."""
    try:
        number = 0.0 if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number <= _MAX_SECONDS:
        raise UsageError(f"{option(name)} must be above 0 and at most {_MAX_SECONDS:,} seconds, got {value!r}")
    return number
