"""Numbers that users give."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.numbers import frame_rate, seconds, whole_number


@pytest.mark.parametrize("value", [7, np.int64(7), np.uint8(7)])
def test_integers_of_any_kind(value: object) -> None:
    number = whole_number(value, 1, 9, "it must be 1 to 9")
    assert (number, type(number)) == (7, int)


@pytest.mark.parametrize("value", [0, 10, 7.0, np.float64(7), "7", None, True, [7], float("nan")])
def test_what_is_no_integer_of_the_range(value: object) -> None:
    with pytest.raises(UsageError, match=r"^it must be 1 to 9, got "):
        whole_number(value, 1, 9, "it must be 1 to 9")


@pytest.mark.parametrize(
    ("value", "fps"),
    [
        (15, Fraction(15)),
        (np.int32(15), Fraction(15)),
        (29.97, Fraction(2997, 100)),
        (np.float32(29.97), Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (Decimal("12.5"), Fraction(25, 2)),
        ("1e1", Fraction(10)),
        (1e-5, Fraction(1, 100_000)),
    ],
)
def test_frame_rates(value: object, fps: Fraction) -> None:
    assert frame_rate(value) == fps


@pytest.mark.parametrize(
    "value", ["abc", "", "1/0", None, True, [15], float("nan"), float("inf"), "1e999999999", -1, 0, 1000.1, 1e-300]
)
def test_what_is_no_frame_rate(value: object) -> None:
    with pytest.raises(UsageError, match="frames per second"):
        frame_rate(value)


def test_durations() -> None:
    assert seconds("time_limit", np.float32(2.5)) == 2.5
    for value in (0, -1, float("nan"), float("inf"), 1e9, "5", True, None, []):
        with pytest.raises(UsageError, match=r"^time_limit must be above 0 and at most 1,000,000 seconds, got "):
            seconds("time_limit", value)
