"""What the doctor says: one line for each thing it looked at."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger(__name__)

Status = Literal["ok", "warn", "missing", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line.

    Parameters
    ----------
    what
        What was looked at.
    value
        What was found.
    status
        ``ok``; ``warn``: works, but could be better; ``missing``: an optional part is not there; ``broken``: without
        it the CPU path does not work.
    advice
        What to do, empty if nothing is to be done.
    """

    what: str
    value: str
    status: Status = "ok"
    advice: str = ""

    def __post_init__(self) -> None:
        assert self.status == "ok" or self.advice, f"{self.what}: {self.status} without advice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Something to look at.

    Parameters
    ----------
    what
        Its name, for the case that looking fails.
    look
        Gives one finding or more.
    core
        Whether the CPU path depends on it.
    """

    what: str
    look: Callable[[], Finding | list[Finding]]
    core: bool = False

    def run(self) -> list[Finding]:
        """Look. Here alone any exception is caught, and becomes a finding: a doctor must not collapse."""
        try:
            findings = self.look()
        except Exception as error:
            logger.debug("probe %s", self.what, exc_info=True)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            advice = "reinstall vidprep" if self.core else "see the reason, and `vidprep --debug doctor` for more"
            return [
                Finding(what=self.what, value=reason[:200], status="broken" if self.core else "warn", advice=advice)
            ]
        return findings if isinstance(findings, list) else [findings]
