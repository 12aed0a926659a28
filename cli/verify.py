"""``vidprep verify``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..pipeline.cache import CacheHeader, VerifyReport, verify
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
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N", help="For the repair.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, mend: bool, source: str | None, workers: int | None, device: str, as_json: bool) -> None:
    """Compare every byte of CACHE with its checksum, and name what is damaged.

    With --repair, damaged and missing shards are extracted again from their source. Exit status: 0 whole (or mended),
    1 damage was found (and remains).
    """
    folder = Path(cache)
    CacheHeader.read(folder)
    if mend:
        with ProgressDisplay(quiet=as_json) as display:
            result = repair(folder, source=source, device=device, workers=workers, on_progress=display.update)
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
        if not report.ok:
            click.echo(f"vidprep verify {folder} --repair makes the damaged parts again from their source")
    sys.exit(0 if report.ok else 1)


def _show(folder: Path, report: VerifyReport) -> None:
    speed = readable_bytes(int(report.num_bytes / max(report.seconds, 1e-9)))
    checked = (
        f"{counted(report.num_shards, 'shard')}, {counted(report.num_chunks, 'chunk')}, "
        f"{readable_bytes(report.num_bytes)} in {report.seconds:.2f} s ({speed}/s)"
    )
    if report.ok:
        click.echo(f"{folder} is whole: {checked}")
    else:
        click.echo(f"{folder} is damaged in {counted(len(report.damage), 'place')}: {checked}")
        for damage in report.damage[:_SHOWN]:
            click.echo(f"  {damage}")
        if len(report.damage) > _SHOWN:
            click.echo(f"  ... and {len(report.damage) - _SHOWN} more (--json lists all)")
    if report.leftovers:
        click.echo(f"{counted(len(report.leftovers), 'temporary file')} of killed runs, removed by the next extraction")
