"""Reading the small text files that lists and annotation sets are made of."""

from __future__ import annotations

import csv
import io
import os

from ..errors import UsageError


def read_text(path: str) -> str:
    """Read a UTF-8 file, with or without a byte order mark, line ends as they are.

    Raises
    ------
    UsageError
        It cannot be read, or is not UTF-8 text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path!r} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"cannot read the list {path!r} ({reason}); name a text file that exists and is readable"
        ) from error
    if "\0" in text:  # a binary file may be valid UTF-8, and no path has a zero byte
        raise UsageError(f"{path!r} is not text (it has a zero byte at {text.index(chr(0))}); save it as UTF-8")
    return text


def _printable_name(path: str) -> str:
    return repr(os.path.basename(path))[1:-1]  # escapes what could not be printed in a message


def read_lines(path: str) -> list[tuple[str, str]]:
    """Read the lines that are not blank, each as its place (``name:number``) and its text without the line end.

    Only LF and CRLF end a line: the other things that ``str.splitlines`` cuts at may stand in a file name.
    """
    name = _printable_name(path)
    lines = (line.removesuffix("\r") for line in read_text(path).split("\n"))
    return [(f"{name}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]


def read_cells(path: str) -> list[tuple[str, list[str]]]:
    """Read the rows of a CSV that are not blank, each as its place (``name:number``) and its cells, stripped of spaces.

    Raises
    ------
    UsageError
        The file cannot be read, has no row, or its quotes do not match.
    """
    name = _printable_name(path)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((f"{name}:{reader.line_num}", stripped))
    except csv.Error as error:
        raise UsageError(
            f"{name}:{reader.line_num} is no row of a CSV ({error}); correct its quotes and commas"
        ) from error
    if not rows:
        raise UsageError(f"the list {path!r} is empty; it names one video a line")
    return rows


def check_label(label: str, where: str) -> str:
    """Return ``label``, or refuse it if it could not stand in one line of a list.

    Raises
    ------
    UsageError
        It has a control character or a line break.
    """
    if not label.isprintable() and any(ord(char) < 32 or 127 <= ord(char) < 160 for char in label):
        raise UsageError(f"{where} has the label {label!r}; a label is one line without control characters")
    return label
