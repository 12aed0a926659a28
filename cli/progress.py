"""How far a run is: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..pipeline.run import Progress
from .rendering import counted, readable_bytes

_LINE_SECONDS = 10.0


class ProgressDisplay:
    """Shows ``Progress`` snapshots on stderr while it is open as a context.

    Parameters
    ----------
    quiet
        Show nothing (for ``--json``).
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._began = time.monotonic()
        self._last_line = self._began
        self._bar: Bar | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = Bar(
                SpinnerColumn(),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("videos  {task.fields[rates]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("extract", total=None, rates="starting workers")

    def __enter__(self) -> ProgressDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the live line away."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Take a new snapshot."""
        if self._quiet:
            return
        now = time.monotonic()
        done = progress.videos_before + len(progress.finished) + len(progress.failed)
        rates = _rates(progress, done, now - self._began)
        if self._bar is not None:
            self._bar.update(self._task, total=progress.videos_total, completed=done, rates=rates)
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            click.echo(f"{done:,} of {counted(progress.videos_total, 'video')}: {rates}", err=True)


def _rates(progress: Progress, done: int, seconds: float) -> str:
    parts = [
        f"{counted(round(progress.frames / seconds), 'frame')}/s",
        f"{readable_bytes(int(max(0, progress.num_bytes) / seconds))}/s",
    ]
    in_this_run = done - progress.videos_before
    if in_this_run:
        left = (progress.videos_total - done) / in_this_run * seconds
        parts.append(f"{_duration(left)} left")
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
