"""``failures.csv``: the videos that are not in the cache, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from .entries import Failure


def encode_failures(failures: Iterable[Failure]) -> bytes:
    """The bytes of ``failures.csv``: a header and one line per failure, sorted by video."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("video", "stage", "reason"))
    rows.writerows((failure.video, failure.stage, failure.reason) for failure in sorted(failures))
    return text.getvalue().encode()
