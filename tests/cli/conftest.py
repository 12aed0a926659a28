"""Running commands in this process."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vidprep.cli.main import main

Run = Callable[..., Result]


@pytest.fixture
def vidprep_command() -> Iterator[Run]:
    """``vidprep_command("info", cache)``: run a command, and check that it shows no traceback."""
    handler = signal.getsignal(signal.SIGTERM)
    logger = logging.getLogger("vidprep")
    level = logger.level

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="vidprep")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    yield run
    signal.signal(signal.SIGTERM, handler)
    logger.setLevel(level)


@pytest.fixture
def refused(vidprep_command: Run) -> Callable[..., str]:
    """Run a command that must fail with one sentence on stderr and nothing else; return the sentence."""

    def run(*arguments: str | Path, status: int = 2) -> str:
        result = vidprep_command(*arguments)
        assert result.exit_code == status, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("vidprep: ")
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith("\n")
        return result.stderr.removeprefix("vidprep: ").rstrip()

    return run
