"""Where the ``vidprep`` command begins, and what Ctrl-C and SIGTERM do in it. Imports next to nothing."""

from __future__ import annotations

import os
import signal
from types import FrameType

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the program. The target of the console script."""
    _handle(_leave_at_once)  # there is nothing to clean up as long as modules are imported
    try:
        from .main import main as program

        program()
    except KeyboardInterrupt:
        _leave_at_once(signal.SIGINT, None)  # another one, while the first was dealt with
    finally:
        _handle(signal.SIG_IGN)  # the interpreter ends: too late to be interrupted


def raise_when_interrupted() -> None:
    """From here on, raise KeyboardInterrupt: there is work that has to be left in order.

    SIGTERM is Ctrl-C from a scheduler: the same clean stop.
    """
    _handle(signal.default_int_handler)


def _handle(handler: signal._HANDLER) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup, or a shell's &, have it
            signal.signal(number, handler)


def _leave_at_once(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"vidprep: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
