"""``vidprep verify``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..pipeline.cache import Damage, VerifyReport, verify
from ..pipeline.errors import UsageError
from ..pipeline.repair import repair
from ..pipeline.run import num_cores
from .progress import ProgressDisplay
from .rendering import counted, echo_json, readable_bytes

_SHOWN = 20


@click.command("verify", short_help="Check every byte of a cache, and repair it.")
@click.argument("cache", type=click.Path())
@click.option("--repair", "mend", is_flag=True, help="Extract damaged and missing shards again, and only those.")
@click.option("--source", type=click.Path(), metavar="DIR", help="With --repair: where the source lies now.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads, or worker processes of the repair.")
@click.option("--device", metavar="auto|cpu|cuda|cuda:N", help="With --repair: where to compute.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, mend: bool, source: str | None, workers: int | None, device: str | None, as_json: bool) -> None:
    """Compare every byte of CACHE with its checksum, and name what is damaged.

    With --repair, damaged and missing shards are extracted again from their source.

    \b
    Exit status: 0 whole (or mended);
    1 damaged or not finished, or the run could not go on; 2 wrong usage.
    """
    for option, value in (("--source", source), ("--device", device)):
        if value is not None and not mend:
            raise UsageError(f"{option} does nothing without --repair: add it to extract what is damaged again")
    folder = Path(cache)
    if mend:
        with ProgressDisplay(quiet=as_json) as display:
            result = repair(folder, source=source, device=device or "auto", workers=workers, on_progress=display.update)
        if as_json:
            echo_json(result)
        else:
            _show(folder, result.before)
            if not result.before.ok:
                click.echo(f"{counted(len(result.rebuilt), 'shard')} extracted again; now:")
                _show(folder, result.after)
        sys.exit(0 if result.after.ok else 1)
    report = verify(folder, threads=workers or num_cores())
    if as_json:
        echo_json(report)
    else:
        _show(folder, report)
        if _damage(report):
            click.echo(f"vidprep verify {folder} --repair makes the damaged parts again from their source")
        elif not report.ok:
            click.echo(f"run the same vidprep extract again, or vidprep verify {folder} --repair")
    sys.exit(0 if report.ok else 1)


def _missing(report: VerifyReport) -> int:
    """Shards that no run has made yet."""
    return sum(damage.kind == "missing" for damage in report.damage)


def _damage(report: VerifyReport) -> list[Damage]:
    """What is wrong with the finished part of a cache. The run that finishes it writes index and failures."""
    expected = {"missing", "index", "failures"} if _missing(report) else set()
    return [damage for damage in report.damage if damage.kind not in expected]


def _show(folder: Path, report: VerifyReport) -> None:
    found, missing = _damage(report), _missing(report)
    speed = readable_bytes(int(report.num_bytes / max(report.seconds, 1e-9)))
    checked = (
        f"{counted(report.num_shards - missing, 'shard')}, {counted(report.num_chunks, 'chunk')}, "
        f"{readable_bytes(report.num_bytes)} in {report.seconds:.2f} s ({speed}/s)"
    )
    if report.ok:
        click.echo(f"{folder} is whole: {checked}")
    if found:
        click.echo(f"{folder} is damaged in {counted(len(found), 'place')}: {checked}")
        for damage in found[:_SHOWN]:
            click.echo(f"  {damage}")
        if len(found) > _SHOWN:
            click.echo(f"  ... and {len(found) - _SHOWN} more (--json lists all)")
    if missing:
        to_do = f"{missing:,} of {counted(report.num_shards, 'shard')} {'is' if missing == 1 else 'are'}"
        rest = "" if found else f"; what is there is whole: {checked}"
        click.echo(f"{folder} is not finished: {to_do} still to be extracted{rest}")
    if report.leftovers:
        click.echo(f"{counted(len(report.leftovers), 'temporary file')} of killed runs, removed by the next extraction")
