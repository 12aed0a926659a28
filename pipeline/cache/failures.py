"""``failures.csv``: the videos that are not in the cache, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from .atomic import write_atomic
from .entries import Failure
from .format import FAILURES_NAME


def encode_failures(failures: Iterable[Failure]) -> bytes:
    """The bytes of ``failures.csv``: a header and one line per failure, sorted by video."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("video", "stage", "reason"))
    rows.writerows((failure.video, failure.stage, failure.reason) for failure in sorted(failures))
    return text.getvalue().encode()


def write_failures(cache: Path, failures: Iterable[Failure]) -> None:
    """Write ``failures.csv`` atomically; OutputError if the folder cannot be written."""
    write_atomic(cache / FAILURES_NAME, encode_failures(failures))
