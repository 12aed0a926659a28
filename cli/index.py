"""``vidprep index``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..pipeline.cache import CacheHeader, CacheLock, build_index
from .rendering import counted, echo_json


@click.command("index", short_help="Merge finished shards into one index.")
@click.argument("cache", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, as_json: bool) -> None:
    """Merge the sidecars of all finished shards of CACHE into index.parquet and failures.csv.

    `vidprep extract` does this by itself; array jobs end with it. Exit status: 0 complete, 1 shards are missing.
    """
    folder = Path(cache)
    CacheHeader.read(folder)  # before the lock, which would make the folder
    with CacheLock(folder):
        summary = build_index(folder)
    if as_json:
        echo_json(summary)
    else:
        click.echo(
            f"{folder}: {counted(summary.num_videos, 'video')} in {counted(summary.num_shards, 'shard')}, "
            f"{counted(len(summary.failures), 'failure')}"
        )
        if summary.missing_shards:
            first = ", ".join(map(str, summary.missing_shards[:5]))
            click.echo(
                f"{counted(len(summary.missing_shards), 'shard')} not yet extracted (number {first}"
                f"{', ...' if len(summary.missing_shards) > 5 else ''}): run the same vidprep extract again"
            )
    sys.exit(1 if summary.missing_shards else 0)
