"""Questions to libraries that can crash or hang, asked in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

TIME_LIMIT = 60.0  # seconds; the first import of a GPU library from a cold network disk is slow


class ChildError(Exception):
    """The child process failed; the message is its last line."""


def ask(code: str, *, time_limit: float = TIME_LIMIT) -> Any:
    """Run Python code in a child and return what it prints last, a line of JSON.

    Raises
    ------
    ChildError
        The child raised, crashed, hung or printed something else.
    """
    output = run([sys.executable, "-c", code], time_limit=time_limit)
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise ChildError("no answer") from None


def run(command: list[str], *, time_limit: float = 15.0) -> str:
    """Run a program and return what it prints.

    Raises
    ------
    ChildError
        It is not there, failed or hung.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=time_limit, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"}, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ChildError("not installed") from None
    except subprocess.TimeoutExpired:
        raise ChildError(f"no answer within {time_limit:.0f} s") from None
    except OSError as error:
        raise ChildError(str(error.strerror or error)) from None
    if done.returncode < 0:
        raise ChildError(f"crashed with signal {-done.returncode}")
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit status {done.returncode}"]
        raise ChildError(lines[-1])
    return done.stdout
